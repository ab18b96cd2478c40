/** Where a rule's copies go: RequestMirror filters as the proxy carries them out. One that leads nowhere is left out and said, as Gateway API has it. */

import type { Mirror } from '#model/route'
import type { HTTPFilter, ReferenceGrant } from '#resources/gateway-api'
import { millionths } from '../policies/faults.ts'
import type { RefReason } from './resolve.ts'
import { resolve } from './resolve.ts'
import type { Services } from '../services/services.ts'

type MirrorFilter = { readonly type: string; readonly requestMirror?: HTTPFilter['requestMirror'] }
export type LoweredMirrors = {
  readonly mirrors: readonly Mirror[]
  readonly refs: readonly { readonly path: string; readonly backend: undefined; readonly reason: RefReason; readonly says: string }[]
}

/** at: path of the list. A share of nothing is none. */
export function lowerMirrors(
  list: readonly MirrorFilter[],
  at: string,
  from: { readonly kind: string; readonly namespace: string },
  services: Services,
  grants: readonly ReferenceGrant[],
): LoweredMirrors {
  const mirrors: Mirror[] = []
  const refs: LoweredMirrors['refs'][number][] = []
  for (const [index, { requestMirror }] of list.entries()) {
    if (requestMirror === undefined) continue
    const found = resolve(requestMirror.backendRef, from, services, grants)
    if (found.backend === undefined) refs.push({ ...found, path: `${at}[${index}].requestMirror.backendRef` })
    else {
      const share = millionths(requestMirror)
      if (share > 0) mirrors.push({ backend: found.backend, share })
    }
  }
  return { mirrors, refs }
}
