/** Whose certificates the callers of a listener must show, or why that cannot be told (GEP-91). */

import type { Terminated } from '#model/listener'
import type { Gateway, ListenerShape } from '#resources/gateway-api'
import type { Fault, JudgeCertificate } from './certificates.ts'
import type { Gathered } from '../gather.ts'
import { isGranted } from '../grants.ts'
import { namespaceOf } from '../gather.ts'
import { rootsOf } from '../outside/external-tls.ts'

/** callers: absent where nobody is asked. refused: no authority is left, so that nobody may be let in. */
export type Checked = { readonly callers?: NonNullable<Terminated['callers']>; readonly faults: readonly Fault[]; readonly refused?: Fault }

export function callersOf(
  gateway: Gateway,
  { port, protocol }: ListenerShape,
  { configMaps, grants }: Pick<Gathered, 'configMaps' | 'grants'>,
  judge: JudgeCertificate,
): Checked {
  const frontend = gateway.spec?.tls?.frontend
  if (frontend === undefined || protocol !== 'HTTPS') return { faults: [] }
  const index = (frontend.perPort ?? []).findIndex(each => each.port === port)
  const own = index < 0 ? undefined : frontend.perPort![index]!.tls
  const at = index < 0 ? 'spec.tls.frontend.default' : `spec.tls.frontend.perPort[${index}].tls`
  const { validation } = own ?? frontend.default
  if (validation === undefined) return { faults: [] }
  const faults: Fault[] = []
  const namespace = namespaceOf(gateway)
  const roots = validation.caCertificateRefs.flatMap((ref, place): readonly string[] => {
    const no = (reason: string, says: string): readonly string[] => {
      faults.push({ reason, says: `${at}.validation.caCertificateRefs[${place}]: ${says}` })
      return []
    }
    const there = ref.namespace ?? namespace
    const name = `${there}/${ref.name}`
    if (ref.group !== '' || ref.kind !== 'ConfigMap')
      return no('InvalidCACertificateKind', `the kind ${ref.kind} of group "${ref.group}" is not carried out: refer to a ConfigMap`)
    if (there !== namespace && !isGranted({ kind: 'Gateway', namespace }, there, ref, grants))
      return no('RefNotPermitted', `ConfigMap ${name} is in another namespace, which has no ReferenceGrant from Gateway in ${namespace}`)
    const found = rootsOf(name, { configMaps }, judge)
    return typeof found === 'string' ? no('InvalidCACertificateRef', found) : found
  })
  if (roots.length === 0)
    return {
      faults,
      refused: { reason: 'NoValidCACertificate', says: `${at}.validation.caCertificateRefs: there is no certificate of an authority` },
    }
  return { faults, callers: { roots, isRequired: validation.mode !== 'AllowInsecureFallback' } }
}
