/**
 * What was refused, in the record of deeds: who, from where, what, and why. The same again within a minute is not written again, and of all not more than so many,
 * of one caller and of all. */

import type { Author, ResourceName, Store } from '../store.ts'
import { apiAuthor } from '../api/author.ts'
import type { Refused } from './gate.ts'

const againAfterMs = 60_000
/** So that nobody fills the disk by asking for what he may not have. */
const mostInThatTime = 1000
const mostOfOne = 50

export function recordRefusals(store: Store, now: () => number): (what: Refused) => void {
  let seen = new Set<string>()
  let counts = new Map<string, number>()
  let since = 0
  return ({ request, by, needed, namespace = '', refusal }) => {
    if (now() - since > againAfterMs) {
      seen = new Set()
      counts = new Map()
      since = now()
    }
    const author: Author = apiAuthor(request, by)
    const about: ResourceName = needed?.kind
      ? { group: needed.kind.group, kind: needed.kind.kind, namespace, name: needed.name ?? '' }
      : { group: '', kind: 'Route', namespace, name: `${request.method} ${request.path}`.slice(0, 200) }
    const action = refusal.code === 401 ? 'refused login' : `refused ${needed?.verb ?? 'call'}`
    const key = JSON.stringify([author.who, author.how, author.address, action, about])
    const caller = by === undefined ? author.address : `${author.how} ${author.who}`
    const count = counts.get(caller) ?? 0
    if (seen.has(key) || seen.size >= mostInThatTime || count >= mostOfOne) return
    seen.add(key)
    counts.set(caller, count + 1)
    store.note(action, about, author)
  }
}
