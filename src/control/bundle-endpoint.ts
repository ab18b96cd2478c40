/** The bundle of this mesh for others: its roots and keys as SPIFFE has them, at a port of its own (SPIFFE Federation §5.2, both profiles). */

import type { Log } from '#base/log'
import { writeBundle } from '#identity/bundle'
import { readTextIfAny, writeAtomic } from '#io/files'
import { serveHttp } from '#io/http-server'
import { certificateFromFiles, type CertificateFiles } from './api-tls.ts'

export type OwnBundleOptions = {
  /** Its number is kept here, so that it never falls. */
  readonly folder: string
  readonly roots: () => readonly string[]
  /** Keys of JWT-SVIDs, as a key set in JSON. */
  readonly jwks: () => string
  readonly refreshHintS: number
  readonly log: Log
}

export type OwnBundle = {
  /** JSON. */
  text(): string
  sequence(): number
}

type Kept = { readonly sequence: number; readonly of: string }

export async function openOwnBundle({ folder, roots, jwks, refreshHintS, log }: OwnBundleOptions): Promise<OwnBundle> {
  const path = `${folder}/bundle.json`
  let kept = readKept(await readTextIfAny(path))
  const keysOf = (): readonly object[] => (JSON.parse(jwks() || '{"keys":[]}') as { readonly keys: readonly object[] }).keys
  /** §4.1.2: the number rises when the content is another. */
  const sequence = (): number => {
    const of = [...roots(), jwks()].join('')
    if (of === kept.of) return kept.sequence
    kept = { sequence: kept.sequence + 1, of }
    writeAtomic(path, JSON.stringify(kept), { mode: 0o600 }).catch((thrown: unknown) =>
      log.error('the number of the trust bundle cannot be kept: it may fall when this process starts again', { path, error: thrown }),
    )
    return kept.sequence
  }
  return { sequence, text: () => writeBundle({ sequence: sequence(), refreshHintS, roots: roots(), jwtKeys: keysOf() }) }
}

function readKept(text: string | undefined): Kept {
  if (text === undefined) return { sequence: 0, of: '' }
  try {
    const { sequence, of } = JSON.parse(text) as Partial<Kept>
    return { sequence: Number.isSafeInteger(sequence) ? sequence! : 0, of: String(of) }
  } catch {
    return { sequence: 0, of: '' }
  }
}

export type BundleEndpoint = AsyncDisposable & {
  readonly host: string
  readonly port: number
  /** Its certificate is another. */
  renew(): void
}

/** certificate: files of one for its host name (https_web); absent: that of the control plane, which proves its SPIFFE id (https_spiffe). */
export type BundlePlace = { readonly host: string; readonly port: number; readonly certificate?: CertificateFiles }

/** Rejects with one sentence. */
export async function serveBundle(
  place: BundlePlace,
  own: () => { readonly key: string; readonly cert: string },
  bundle: OwnBundle,
  log: Log,
): Promise<BundleEndpoint> {
  let renew = (): void => {}
  const files = place.certificate && (await certificateFromFiles(place.certificate, log, () => renew()))
  const certificate = () => files?.current() ?? own()
  const http = await serveHttp({
    host: place.host,
    port: place.port,
    tls: { certificate, clientRoots: () => undefined },
    handler: ({ method, path }) => {
      if (path !== '/') return { status: 404, headers: { 'content-type': 'text/plain' }, body: 'the trust bundle is at /\n' }
      if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { allow: 'GET, HEAD' }, body: '' }
      return { status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'no-cache' }, body: bundle.text() }
    },
  })
  renew = () => http.renew()
  return {
    host: http.host,
    port: http.port,
    renew,
    [Symbol.asyncDispose]: async () => {
      files?.close()
      await http.close()
    },
  }
}
