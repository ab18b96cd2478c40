/** How much of the mesh still takes plaintext, in a sentence, and what to do about it. */

import type { MtlsStanding } from '#api/mesh-api'
import { count } from '../words.ts'

/** isStrict: at every port. */
export function tellMtls({ strict, permissive, disabled, plaintext }: MtlsStanding): { readonly isStrict: boolean; readonly says: string } {
  const all = strict + permissive + disabled
  const ports = (number: number): string => count(number, 'port', 'ports')
  if (all === 0) return { isStrict: true, says: 'no workload has a port yet' }
  if (strict === all) return { isStrict: true, says: `strict at ${all === 1 ? 'the one port' : `all ${all} ports`}` }
  const open = [
    ...(permissive === 0 ? [] : [`permissive at ${ports(permissive)} of ${all}, which take plaintext too`]),
    ...(disabled === 0 ? [] : [`disabled at ${ports(disabled)} of ${all}`]),
  ]
  const called = plaintext === 0 ? 'nobody spoke plaintext' : `${ports(plaintext)} ${plaintext === 1 ? 'was' : 'were'} called so`
  return { isStrict: false, says: `${open.join(', ')}; ${called} in the last 10 min` }
}

/** Where the report is, which says whether it is safe and by which document. */
export const goStrict = 'to go strict: weft mtls report'
