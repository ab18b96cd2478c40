/** What a proxy from a file serves by, read and checked whole before any of it is used: resources, certificate, roots. */

import { defaultIdTemplate } from '#base/id-template'
import { BadInput } from '#base/note'
import { pemBlocks, readCertificate, serialOf } from '#identity/certificate'
import { isSpiffeId, spiffeParts, workloadOf } from '#identity/spiffe'
import { readText } from '#io/files'
import { secureContext, type TlsMaterial } from '#io/net'
import type { View } from '#model/view'
import { type FileConfig, readFileConfig, type Source } from '#xds/file'
import { type Party, nobody } from '../telemetry/entry.ts'

/** path: the file. certs: a folder with cert.pem, key.pem and ca.pem, for what the file does not name. */
/** answersDns: somebody asks for the names of the file (`--dns`). */
export type Place = { readonly path: string; readonly certs: string | undefined; readonly answersDns?: boolean }

/** serial: lower-case hex. notAfter: ms since the epoch. */
export type Certificate = { readonly identity: string; readonly notAfter: number; readonly serial: string }
export type Loaded = {
  readonly view: View
  /** Undefined where nothing needs a certificate. */
  readonly material: TlsMaterial | undefined
  readonly certificate: Certificate | undefined
  readonly self: Party
  readonly adminPort: number | undefined
}

/** seen: told every file before it is read, so that all of them can be watched, good or bad. Throws BadInput or FileError. */
export async function load({ path, certs, answersDns = false }: Place, seen: (path: string) => void): Promise<Loaded> {
  const text = (file: string): Promise<string> => {
    seen(file)
    return readText(file)
  }
  const config = readFileConfig(path, await text(path))
  if (config.view.dns.length > 0 && !answersDns)
    throw wrong(path, 'it has a DNS table, yet nobody asks this proxy for names: start it with --dns PORT')
  const folder = path.slice(0, path.lastIndexOf('/') + 1)
  const pem = async (source: Source): Promise<string> =>
    'text' in source ? source.text : text(source.file.startsWith('/') ? source.file : `${folder}${source.file}`)
  const material = await materialOf(config, { path, certs }, pem)
  const certificate = material && certificateOf(path, material)
  const identity = certificate?.identity ?? ''
  const parts = isSpiffeId(identity) ? spiffeParts(identity) : undefined
  // Nobody tells a file's proxy another template.
  const workload = workloadOf(identity, defaultIdTemplate)
  const service = config.node.cluster || workload?.serviceAccount || 'proxy'
  return {
    view: {
      ...config.view,
      trust: { domain: config.roots?.domain ?? parts?.trustDomain ?? '', roots: material?.roots ?? [] },
    },
    material,
    certificate,
    self: { ...nobody, service, namespace: workload?.namespace ?? '', workload: config.node.id || service, identity },
    adminPort: config.adminPort,
  }
}

async function materialOf(
  { own, roots, needsCertificate }: FileConfig,
  { path, certs }: Place,
  pem: (source: Source) => Promise<string>,
): Promise<TlsMaterial | undefined> {
  if (!needsCertificate) return undefined
  const inFolder = (name: string): Source | undefined => (certs === undefined ? undefined : { file: `${certs}/${name}` })
  const [cert, key, ca] = [own?.cert ?? inFolder('cert.pem'), own?.key ?? inFolder('key.pem'), roots?.roots ?? inFolder('ca.pem')]
  if (cert === undefined || key === undefined)
    throw wrong(path, 'it asks for TLS but names no certificate: give tls_certificates with files, or --certs with a folder')
  if (ca === undefined)
    throw wrong(path, 'it asks for TLS but names no roots: give validation_context.trusted_ca with a file, or --certs with a folder')
  const found = pemBlocks(await pem(ca), 'CERTIFICATE')
  if (found.length === 0) throw wrong('file' in ca ? ca.file : path, 'it holds no certificate of a root (PEM)')
  return { cert: await pem(cert), key: await pem(key), roots: found }
}

function certificateOf(path: string, material: TlsMaterial): Certificate {
  try {
    secureContext(material)
    const leaf = readCertificate(pemBlocks(material.cert, 'CERTIFICATE')[0] ?? '')
    const names = leaf.subjectAltName?.split(', ') ?? []
    const identity = names.find(name => name.startsWith('URI:spiffe://'))?.slice('URI:'.length) ?? ''
    return { identity, notAfter: leaf.validToDate.getTime(), serial: serialOf(leaf) }
  } catch (thrown) {
    throw wrong(
      path,
      `the certificate and key that it names cannot be used together: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    )
  }
}

const wrong = (file: string, says: string): BadInput => new BadInput([{ place: { file, line: 1, column: 1 }, says }])
