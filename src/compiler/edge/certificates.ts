/** The certificates to which a listener of a Gateway refers, or why one cannot be used. */

import type { Terminated } from '#model/listener'
import type { Gateway, ListenerSet, ListenerShape } from '#resources/gateway-api'
import type { Gathered } from '../gather.ts'
import { isGranted } from '../grants.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { issuerOf, whyNoOrder } from './issuers.ts'

export type Certificate = Terminated['certificates'][number]
/** reason: of a condition; the first reference that cannot be used gives it. */
export type Fault = { readonly reason: string; readonly says: string }
/** What is wrong with a pair of PEM texts, or with certificates alone; undefined: nothing. */
export type JudgeCertificate = (pair: Pick<Certificate, 'cert'> & Partial<Certificate>) => string | undefined

export type Certified = { readonly certificates: readonly Certificate[]; readonly faults: readonly Fault[] }

export function certificatesOf(
  holder: Gateway | ListenerSet,
  {
    tls,
    hostname,
  }: { readonly tls?: Pick<NonNullable<ListenerShape['tls']>, 'certificateRefs'> | undefined; readonly hostname?: string | undefined },
  at: string,
  gathered: Pick<Gathered, 'secrets' | 'grants' | 'certificateIssuers'>,
  judge: JudgeCertificate,
): Certified {
  const { secrets, grants } = gathered
  const certificates: Certificate[] = []
  const faults: Fault[] = []
  const own = namespaceOf(holder)
  for (const [index, ref] of (tls?.certificateRefs ?? []).entries()) {
    const path = `${at}.tls.certificateRefs[${index}]`
    const no = (reason: string, says: string): void => void faults.push({ reason, says: `${path}: ${says}` })
    const namespace = ref.namespace ?? own
    const name = `${namespace}/${ref.name}`
    if (ref.group !== '' || ref.kind !== 'Secret') {
      no('InvalidCertificateRef', `the kind ${ref.kind} of group "${ref.group}" is not carried out: refer to a Secret`)
      continue
    }
    if (namespace !== own && !isGranted({ kind: holder.kind, namespace: own }, namespace, ref, grants)) {
      no('RefNotPermitted', `Secret ${name} is in another namespace, which has no ReferenceGrant from ${holder.kind} in ${own}`)
      continue
    }
    const secret = secrets.find(each => nameOf(each) === name)
    if (secret === undefined) {
      const issuer = namespace === own && at !== 'spec' ? issuerOf(holder) : undefined
      const why =
        issuer &&
        (whyNoOrder(holder, { hostname }, gathered) ?? `CertificateIssuer ${own}/${issuer} is to fill it: its status tells how far it is`)
      no('InvalidCertificateRef', `Secret ${name} does not exist${why === undefined ? '' : `, and ${why}`}`)
      continue
    }
    if (secret.type !== 'kubernetes.io/tls') {
      no('InvalidCertificateRef', `Secret ${name} is of type ${secret.type ?? 'Opaque'}: it must be kubernetes.io/tls`)
      continue
    }
    const pair = { cert: textOf(secret.data?.['tls.crt']), key: textOf(secret.data?.['tls.key']) }
    const wrong = shapeOf(pair) ?? judge(pair)
    if (wrong === undefined) certificates.push(pair)
    else no('InvalidCertificateRef', `Secret ${name}: ${wrong}`)
  }
  return { certificates, faults }
}

/** What a Gateway shows to workloads to which it speaks TLS (GEP-3155); undefined: nothing is asked for. */
export function shownTo(
  gateway: Gateway,
  gathered: Pick<Gathered, 'secrets' | 'grants' | 'certificateIssuers'>,
  judge: JudgeCertificate,
): { readonly certificate?: Certificate; readonly fault?: Fault } | undefined {
  const ref = gateway.spec?.tls?.backend?.clientCertificateRef
  if (ref === undefined) return undefined
  const { certificates, faults } = certificatesOf(gateway, { tls: { certificateRefs: [ref] } }, 'spec', gathered, judge)
  const [certificate] = certificates
  const [fault] = faults
  if (certificate !== undefined) return { certificate }
  const says = fault?.says.replace('spec.tls.certificateRefs[0]', 'spec.tls.backend.clientCertificateRef') ?? ''
  return { fault: { reason: fault?.reason === 'RefNotPermitted' ? 'RefNotPermitted' : 'InvalidClientCertificateRef', says } }
}

function textOf(base64 = ''): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64.replace(/\s/g, '')), each => each.charCodeAt(0)))
  } catch {
    return ''
  }
}

function shapeOf({ cert, key }: Certificate): string | undefined {
  if (!/-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(cert)) return 'tls.crt holds no certificate in PEM'
  if (!/-----BEGIN (?:RSA |EC )?PRIVATE KEY-----[\s\S]+-----END/.test(key)) return 'tls.key holds no private key in PEM'
  return undefined
}
