/** What `weft control` is asked to do: its flags read and checked, every problem said together. */

import { whyNotIdTemplate } from '#base/id-template'
import { type BundleFlags, bundleOf } from '../flags/bundle.ts'
import { Flags } from '../flags/collect.ts'
import type { Raw } from './raw.ts'

/** port 0: any free one. data: as typed, relative to the working directory; absent: the user's state folder. json: says where it listens as one JSON line. */
export type ControlOptions = BundleFlags & {
  readonly data?: string
  readonly api: {
    readonly host: string
    readonly port: number
    /** As typed. */
    readonly certificate?: { readonly cert: string; readonly key: string }
    readonly names: readonly string[]
    readonly isInsecure: boolean
  }
  /** File of who may use the API, as typed. */
  readonly operators?: string
  readonly requireLogin: boolean
  readonly xds: { readonly host: string; readonly port: number }
  /** Where processes of this machine prove who they are, as typed; absent: nowhere. */
  readonly attestSocket?: string
  /** File with roots of certificates of others that are taken as attestation, as typed; absent: none are. */
  readonly attestRoots?: string
  readonly trustDomain: string
  /** Of the SPIFFE ids of workloads; absent: that of the mesh so far, or the default. */
  readonly idTemplate?: string
  /** How long the certificates of workloads are good for; absent: 24 h. */
  readonly leafLifeMs?: number
  /** File that says which authority signs, as typed; absent: the mesh's own. */
  readonly authority?: string
  /** How long after its end a certificate still brings its workload back; absent: 30 days. */
  readonly rejoinMs?: number
  /** URL of the Redis that keeps the counts of global rate limits; absent: this process does. */
  readonly redis?: string
  readonly json: boolean
}

export function controlOptions(raw: Raw): ControlOptions {
  const flags = new Flags(raw)
  const [cert, key] = [flags.text('apiCert'), flags.text('apiKey')]
  if ((cert === undefined) !== (key === undefined)) flags.wrong('--api-cert and --api-key belong together: give both')
  const api = {
    host: flags.text('apiHost') ?? '127.0.0.1',
    port: flags.whole('apiPort', 0, 65_535) ?? 7070,
    names: flags.each('apiName', readName),
    isInsecure: raw['insecurePlaintextApi'] === true,
    ...(cert === undefined || key === undefined ? {} : { certificate: { cert, key } }),
  }
  const operators = flags.text('operators')
  const xds = { host: flags.text('xdsHost') ?? '127.0.0.1', port: flags.whole('xdsPort', 0, 65_535) ?? 7071 }
  if (api.port !== 0 && api.port === xds.port && api.host === xds.host)
    flags.wrong(`--api-port and --xds-port are both ${api.port}: they must differ`)
  const trustDomain = flags.text('trustDomain') ?? 'weft.local'
  // SPIFFE-ID §2.1
  if (!/^[a-z0-9._-]{1,255}$/.test(trustDomain))
    flags.wrong(`--trust-domain "${trustDomain}": may hold lower-case letters, digits, ".", "-" and "_", 255 at most`)
  const idTemplate = flags.text('spiffeIdTemplate')
  const whyNot = idTemplate === undefined ? undefined : whyNotIdTemplate(idTemplate)
  if (whyNot !== undefined) flags.wrong(`--spiffe-id-template "${idTemplate}": ${whyNot}`)
  const leafLifeMs = flags.duration('leafLife')
  // Below, a proxy on a busy machine would not renew in time; above, a stolen key would be of use for too long.
  if (leafLifeMs !== undefined && (leafLifeMs < 3000 || leafLifeMs > 86_400_000)) flags.wrong('--leaf-life: must be from 3s to 24h')
  const json = flags.choice('output', ['json']) === 'json'
  const data = flags.text('data')
  const authority = flags.text('authority')
  const rejoinMs = flags.duration('rejoinWithin')
  const [attestSocket, attestRoots] = [flags.text('attestSocket'), flags.text('attestRoots')]
  const redis = flags.text('redis')
  if (redis !== undefined && (!/^rediss?:\/\/./.test(redis) || !URL.canParse(redis)))
    flags.wrong('--redis: must be redis://HOST:PORT, or rediss:// for TLS')
  flags.stopIfWrong()
  const more = {
    ...(idTemplate === undefined ? {} : { idTemplate }),
    ...(attestSocket === undefined ? {} : { attestSocket }),
    ...(attestRoots === undefined ? {} : { attestRoots }),
    ...(authority === undefined ? {} : { authority }),
    ...(rejoinMs === undefined ? {} : { rejoinMs }),
    ...(redis === undefined ? {} : { redis }),
    ...bundleOf(flags),
    ...(operators === undefined ? {} : { operators }),
    requireLogin: raw['requireLogin'] === true,
  }
  return {
    api,
    xds,
    trustDomain,
    json,
    ...more,
    ...(leafLifeMs === undefined ? {} : { leafLifeMs }),
    ...(data === undefined ? {} : { data }),
  }
}

/** A DNS name or an IP address, for a certificate. */
const readName = (text: string) =>
  /^(\*\.)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$|^[0-9a-f:]+$/i.test(text)
    ? { value: text.toLowerCase() }
    : { says: 'must be a DNS name or an IP address' }
