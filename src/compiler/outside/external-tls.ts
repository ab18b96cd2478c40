/** The roots and certificates to which an ExternalService refers, or why one cannot be used. */

import type { Certificate, JudgeCertificate } from '../edge/certificates.ts'
import type { Gathered } from '../gather.ts'
import { nameOf } from '../gather.ts'

/** name: `NAMESPACE/NAME` of a ConfigMap. A text is what is wrong: Envoy takes nothing of a listener or cluster with a root that it cannot read. */
export function rootsOf(name: string, { configMaps }: Pick<Gathered, 'configMaps'>, judge: JudgeCertificate): readonly string[] | string {
  const found = configMaps.find(each => nameOf(each) === name)
  if (found === undefined) return `ConfigMap ${name} does not exist`
  const blocks = (found.data?.['ca.crt'] ?? '').match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)
  if (blocks === null) return `ConfigMap ${name}: ca.crt holds no certificate in PEM`
  const wrong = judge({ cert: blocks.join('\n') })
  return wrong === undefined ? blocks.map(each => `${each}\n`) : `ConfigMap ${name}: ${wrong.replace('tls.crt', 'ca.crt')}`
}

/** name: `NAMESPACE/NAME` of a Secret. A text is what is wrong. */
export function tlsPairOf(name: string, { secrets }: Pick<Gathered, 'secrets'>, judge: JudgeCertificate): Certificate | string {
  const secret = secrets.find(each => nameOf(each) === name)
  if (secret === undefined) return `Secret ${name} does not exist`
  if (secret.type !== 'kubernetes.io/tls') return `Secret ${name} is of type ${secret.type ?? 'Opaque'}: it must be kubernetes.io/tls`
  const pair = { cert: textOf(secret.data?.['tls.crt']), key: textOf(secret.data?.['tls.key']) }
  if (!pair.cert.includes('-----BEGIN CERTIFICATE-----')) return `Secret ${name}: tls.crt holds no certificate in PEM`
  if (!/-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/.test(pair.key)) return `Secret ${name}: tls.key holds no private key in PEM`
  const wrong = judge(pair)
  return wrong === undefined ? pair : `Secret ${name}: ${wrong}`
}

function textOf(base64 = ''): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64.replace(/\s/g, '')), each => each.charCodeAt(0)))
  } catch {
    return ''
  }
}
