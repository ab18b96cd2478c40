/**
 * How the operator API is served: plain HTTP on loopback; elsewhere TLS, by a certificate from files, read again when they change, or by that of the mesh's
 * own authority, which then names what operators call it by.
 */

import type { Log } from '#base/log'
import { type Certificate, pemBlocks, readCertificate } from '#identity/certificate'
import { readSigningKey } from '#identity/key'
import { readText } from '#io/files'
import { isLoopback } from '#io/http-server'
import { watchFiles } from '#io/watch'

/** names: by which operators reach it, for a certificate of the mesh's own authority. isInsecure: plain HTTP although it is not on loopback. */
export type ApiPlace = {
  readonly host: string
  readonly port: number
  readonly certificate?: CertificateFiles
  readonly names?: readonly string[]
  readonly isInsecure?: boolean
}

const isAnywhere = (host: string): boolean => host === '0.0.0.0' || host === '::'

/** Which way it is served. Throws an Error that says what to do where tokens would travel in the clear. */
export function servingOf({ host, certificate, names = [], isInsecure = false }: ApiPlace): 'plain' | 'files' | 'mesh' {
  if (isInsecure) {
    if (certificate === undefined && names.length === 0) return 'plain'
    throw new Error('--insecure-plaintext-api and a certificate (--api-cert, --api-name) contradict each other: keep one')
  }
  if (certificate !== undefined) return 'files'
  if (names.length > 0) return 'mesh'
  if (isLoopback(host)) return 'plain'
  if (!isAnywhere(host)) return 'mesh'
  throw new Error(
    `--api-host ${host}: beyond this machine the operator API is served over TLS: say by which names operators reach it (--api-name mesh.example.com, may be repeated; its certificate is then one of the mesh's own authority), or give a certificate (--api-cert FILE --api-key FILE); --insecure-plaintext-api serves plain HTTP, in which everybody on the way reads the tokens`,
  )
}

/** For the mesh's own certificate. */
export function apiNames({ host, names = [] }: ApiPlace): { readonly dns: readonly string[]; readonly ips: readonly string[] } {
  const all = [...new Set([...names, ...(isAnywhere(host) || isLoopback(host) ? [] : [host])])]
  const isIp = (name: string): boolean => /^[\d.]+$|:/.test(name)
  return { dns: all.filter(name => !isIp(name)), ips: all.filter(isIp) }
}

export type CertificateFiles = { readonly cert: string; readonly key: string }
type KeyAndChain = { readonly key: string; readonly cert: string }

const lookEveryMs = 2000

/** onChange: `current` gives another one. Rejects with an Error that says what is wrong with which file. */
export async function certificateFromFiles(
  files: CertificateFiles,
  log: Log,
  onChange: () => void,
): Promise<{ current(): KeyAndChain; close(): void }> {
  let held = await read(files)
  const again = async (): Promise<void> => {
    try {
      held = await read(files)
      log.info('the certificate of the operator API was read again', { file: files.cert })
      onChange()
    } catch (thrown) {
      log.error('the certificate of the operator API has changed and cannot be used; what was there before serves on', { error: thrown })
    }
  }
  const close = watchFiles([files.cert, files.key], lookEveryMs, () => void again())
  return { current: () => held, close }
}

async function read({ cert, key }: CertificateFiles): Promise<KeyAndChain> {
  const [chain, secret] = await Promise.all([readText(cert), readText(key)])
  const [leaf] = pemBlocks(chain, 'CERTIFICATE').map((pem): Certificate => readCertificate(pem))
  if (leaf === undefined) throw new Error(`${cert} holds no certificate in PEM form`)
  let opened
  try {
    opened = readSigningKey(secret)
  } catch (thrown) {
    throw new Error(`${key}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown })
  }
  if (!leaf.checkPrivateKey(opened.private)) throw new Error(`the key in ${key} is not that of the certificate in ${cert}`)
  return { cert: chain, key: opened.pem }
}
