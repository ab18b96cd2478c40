/** What a rule does to requests on their way, a sentence for each; settings that have none as they are. */

import { tellHost, tellPath } from '#model/rewrite'
import type { Filter, Route } from '#model/view'

const isTold = new Set(['name', 'origin', 'match', 'action'])
const percent = (millionths: number): string => `${millionths / 10_000} %`

export function settingsOf(route: Route): readonly string[] {
  return Object.entries(route as Required<Route>).flatMap(([field, value]) => {
    if (isTold.has(field)) return []
    const tell = sentences[field as keyof typeof sentences] as ((of: unknown) => readonly string[]) | undefined
    return tell === undefined ? [`${field}: ${JSON.stringify(value)}`] : tell(value)
  })
}

type Sentences = { readonly [Field in keyof Required<Route>]?: (value: Required<Route>[Field]) => readonly string[] }

const sentences = {
  filters: list => list.map(filterTold),
  timeouts: ({ requestMs = 0, tryMs = 0 }) => [
    ...(requestMs > 0 ? [`the whole request may take ${requestMs} ms`] : []),
    ...(tryMs > 0 ? [`one try may take ${tryMs} ms`] : []),
  ],
  retry: ({ attempts, codes, backoff }) => [
    `tried again up to ${attempts} times${codes.length > 0 ? ` after ${codes.join(', ')}` : ''}, ${backoff.baseMs} to ${backoff.maxMs} ms apart`,
  ],
  mirrors: list => list.map(({ backend, share }) => `${percent(share)} is copied to ${backend}`),
  fault: ({ policy, delay, abort }) => [
    ...(delay === undefined ? [] : [`${percent(delay.share)} is delayed by ${delay.ms} ms on purpose, by ${policy}`]),
    ...(abort === undefined ? [] : [`${percent(abort.share)} is broken off on purpose, by ${policy}`]),
  ],
  rateLimit: ({ requests, intervalMs, burst }) => [`at most ${requests} in ${intervalMs} ms are taken in, ${burst} at once`],
} as const satisfies Sentences

export function filterTold(filter: Filter): string {
  if (filter.type === 'rewrite') {
    const parts = [
      ...(filter.host === undefined ? [] : [`the host to ${tellHost(filter.host)}`]),
      ...(filter.path === undefined
        ? []
        : [`${filter.path.type === 'prefix' ? 'the start of the path' : 'the path'} to ${tellPath(filter.path)}`]),
    ]
    return `rewrites ${parts.join(' and ')}`
  }
  const { set, add, remove } = filter.change
  const parts = [
    ...set.map(each => `sets ${each.name}: ${each.value}`),
    ...add.map(each => `adds ${each.name}: ${each.value}`),
    ...remove.map(name => `takes out ${name}`),
  ]
  return `${filter.type === 'request-headers' ? 'of the request' : 'of the answer'} ${parts.join(', ')}`
}
