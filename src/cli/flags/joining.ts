/** The flags that say how a workload gets into the mesh: by a token, by its process, by a certificate or an agent of others. */

import { whyNotIdTemplate } from '#base/id-template'
import type { Flags } from './collect.ts'

/**
 * Where the identity comes from instead. certificate: file with key and chain of another authority, a proof for the first certificate of the mesh. spiffe: socket of an
 * agent that gives all of them. xds: of the control plane. roots: file with its roots, PEM; absent: the agent's.
 */
export type OtherIdentity = {
  readonly from: { readonly certificate: string } | { readonly spiffe: string }
  readonly xds: { readonly host: string; readonly port: number }
  readonly roots?: string
  readonly trustDomain: string
  /** Of the ids of workloads; absent: the default. */
  readonly idTemplate?: string
}

export type Joining = {
  /** A join token; absent: one is asked of the control plane. */
  readonly token?: string
  /** Path of the socket where the control plane of this machine knows who asks, and gives a join token for it. */
  readonly attestSocket?: string
  /** Who it is by somebody else's word; absent: by that of the mesh's own authority. */
  readonly other?: OtherIdentity
}

export function readJoining(flags: Flags): Joining {
  const [token, attestSocket, certificate, spiffe] = ['token', 'attestSocket', 'certificate', 'spiffeSocket'].map(key => flags.text(key))
  if ([token, attestSocket, certificate, spiffe].filter(each => each !== undefined).length > 1)
    flags.wrong('--token, --attest-socket, --certificate and --spiffe-socket are ways to join: give one')
  const other = readOther(flags, certificate, spiffe)
  return {
    ...(token === undefined ? {} : { token }),
    ...(attestSocket === undefined ? {} : { attestSocket }),
    ...(other === undefined ? {} : { other }),
  }
}

function readOther(flags: Flags, certificate: string | undefined, spiffe: string | undefined): OtherIdentity | undefined {
  const [roots, trustDomain, idTemplate] = [flags.text('roots'), flags.text('trustDomain'), flags.text('spiffeIdTemplate')]
  const xds = flags.one('xds', text => {
    const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d{1,5})$/.exec(text) ?? []
    return host === '' ? { says: 'must be HOST:PORT' } : { value: { host, port: Number(port) } }
  })
  if (certificate === undefined && spiffe === undefined) {
    if ([xds, roots, trustDomain, idTemplate].some(each => each !== undefined))
      flags.wrong('--xds, --roots, --trust-domain and --spiffe-id-template go with --certificate or --spiffe-socket')
    return undefined
  }
  if (certificate !== undefined && roots === undefined) flags.missing('--roots', 'the file with the roots of the control plane, PEM', '')
  const whyNot = idTemplate === undefined ? undefined : whyNotIdTemplate(idTemplate)
  if (whyNot !== undefined) flags.wrong(`--spiffe-id-template "${idTemplate}": ${whyNot}`)
  return {
    from: certificate === undefined ? { spiffe: spiffe! } : { certificate },
    trustDomain: trustDomain ?? 'weft.local',
    xds: xds ?? flags.missing('--xds', 'where the control plane is, such as --xds 10.0.0.1:7071', { host: '', port: 0 }),
    ...(idTemplate === undefined ? {} : { idTemplate }),
    ...(roots === undefined ? {} : { roots }),
  }
}
