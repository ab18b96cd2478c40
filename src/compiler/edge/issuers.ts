/** Which CertificateIssuer fills the Secrets of a listener, and why it cannot. */

import type { Gateway, ListenerSet, ListenerShape } from '#resources/gateway-api'
import { issuerAnnotation } from '#resources/weft'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'

/** The CertificateIssuer that is named by the holder of a listener. */
export const issuerOf = (holder: Gateway | ListenerSet): string | undefined => holder.metadata.annotations?.[issuerAnnotation]

/** Why no certificate can be ordered for this listener; undefined: nothing stands in the way. */
export function whyNoOrder(
  holder: Gateway | ListenerSet,
  { hostname }: Pick<ListenerShape, 'hostname'>,
  { certificateIssuers }: Pick<Gathered, 'certificateIssuers'>,
): string | undefined {
  const name = `${namespaceOf(holder)}/${issuerOf(holder)}`
  if (!certificateIssuers.some(each => nameOf(each) === name)) return `CertificateIssuer ${name}, which is to fill it, does not exist`
  if (hostname === undefined) return `CertificateIssuer ${name} fills it when the listener has a hostname: give it one`
  if (hostname.startsWith('*.'))
    return `CertificateIssuer ${name} cannot get a certificate for ${hostname}: a wildcard needs the challenge dns-01, and http-01 is carried out; give each host a listener of its own, or fill the Secret yourself`
  return undefined
}
