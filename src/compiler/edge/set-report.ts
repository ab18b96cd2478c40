/** The status of ListenerSets: whether their Gateway lets them in, and of each listener what is said of a Gateway's own. */

import type { Inventory } from '#model/workload'
import type { Gateway, ListenerSet } from '#resources/gateway-api'
import type { EdgeListener } from './listeners.ts'
import { addressesOf, overlapOf, pendingOf, reportListener } from './report.ts'
import { parentOf } from './sets.ts'
import type { EdgeRoutes } from './tables.ts'
import { nameOf } from '../gather.ts'
import type { ResourceStatus } from '../status.ts'
import { state, statusFor } from '../status.ts'

export function reportSets(
  gateway: Gateway,
  sets: { readonly taken: readonly ListenerSet[]; readonly refused: readonly ListenerSet[] },
  listeners: readonly EdgeListener[],
  attached: EdgeRoutes,
  inventory: Inventory,
): readonly ResourceStatus[] {
  const why = `Gateway ${nameOf(gateway)} does not let it in: see spec.allowedListeners there`
  return [
    ...sets.refused.map(each => refused(each, 'NotAllowed', why)),
    ...sets.taken.map(set => reportSet(gateway, set, listeners, attached, inventory)),
  ]
}

/** Its Gateway is not there; which is ours to say, for nobody else will. */
export function reportOrphan(set: ListenerSet): readonly ResourceStatus[] {
  const parent = parentOf(set)
  return parent === undefined ? [] : [refused(set, 'ParentNotAccepted', `spec.parentRef: Gateway ${parent} does not exist`)]
}

/** Of its listeners nothing holds any more. */
const refused = (set: ListenerSet, reason: string, says: string): ResourceStatus =>
  statusFor(set, {
    conditions: [state(set, 'Accepted', false, reason, says), state(set, 'Programmed', false, reason, says)],
    listeners: [],
  })

function reportSet(
  gateway: Gateway,
  set: ListenerSet,
  listeners: readonly EdgeListener[],
  attached: EdgeRoutes,
  inventory: Inventory,
): ResourceStatus {
  const wrong = addressesOf(gateway).refused
  if (wrong !== undefined) return refused(set, 'ParentNotAccepted', `Gateway ${nameOf(gateway)}: ${wrong.says}`)
  const own = listeners.filter(each => each.holder === set)
  const pending = pendingOf(gateway, inventory)
  const invalid = own.filter(each => !each.holds)
  const isTaken = invalid.length < own.length
  const isProgrammed = isTaken && pending === undefined
  const names = invalid.map(({ spec }) => spec.name).join(', ')
  return statusFor(set, {
    conditions: [
      state(
        set,
        'Accepted',
        isTaken,
        invalid.length > 0 ? 'ListenersNotValid' : 'Accepted',
        invalid.length > 0 ? `of ${names} the conditions say what is wrong` : `Gateway ${nameOf(gateway)} has its listeners`,
      ),
      state(
        set,
        'Programmed',
        isProgrammed,
        isProgrammed ? 'Programmed' : isTaken ? 'Pending' : 'ListenersNotValid',
        isProgrammed
          ? 'The proxies of the Gateway listen'
          : isTaken
            ? pending!
            : `no listener can be opened: of ${names} the conditions say what is wrong`,
      ),
    ],
    listeners: own.map(each => reportListener(each, attached.get(each)?.length ?? 0, pending, overlapOf(each, listeners))),
  })
}
