/** What a rule does to requests on their way, a sentence for each; settings that have none as they are. */

import type { Abort, Fault } from '#model/fault'
import type { Filter } from '#model/filter'
import { tellHost, tellPath } from '#model/rewrite'
import type { Route } from '#model/route'

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
  timeouts: ({ requestMs = 0, tryMs = 0, idleMs = 0 }) => [
    ...(requestMs > 0 ? [`the whole request may take ${requestMs} ms`] : []),
    ...(tryMs > 0 ? [`one try may take ${tryMs} ms`] : []),
    ...(idleMs > 0 ? [`for ${idleMs} ms nothing may pass`] : []),
  ],
  retry: ({ attempts, codes, on, backoff, longestRetryAfterMs }) => [
    `tried again up to ${attempts} times${codes.length + on.length > 0 ? ` after ${[...codes, ...on].join(', ')}` : ''}, ${backoff.baseMs} to ${backoff.maxMs} ms apart`,
    ...(longestRetryAfterMs === undefined ? [] : [`Retry-After of an answer is waited for, up to ${longestRetryAfterMs} ms`]),
  ],
  mirrors: list => list.map(({ backend, share }) => `${percent(share)} is copied to ${backend}`),
  cors: ({ origins, credentials, methods, headers, expose, maxAgeS }) => [
    `pages of ${origins.map(each => each.value).join(', ')} may read the answers${credentials ? ', with credentials' : ''}; preflights are answered here for ${maxAgeS} s: ${methods.join(', ') || 'no methods'}${headers.length > 0 ? ` with ${headers.join(', ')}` : ''}`,
    ...(expose.length > 0 ? [`pages see the headers ${expose.join(', ')}`] : []),
  ],
  fault: ({ policy, endsAt, delay, abort, bandwidth }) => [
    ...(delay === undefined
      ? []
      : [
          `${percent(delay.share)} is delayed by ${delay.ms}${delay.jitterMs === undefined ? '' : ` ± ${delay.jitterMs}`} ms on purpose, by ${policy}`,
        ]),
    ...(abort === undefined ? [] : [`${percent(abort.share)} is ${abortTold(abort)} on purpose, by ${policy}`]),
    ...(bandwidth === undefined ? [] : [`${percent(bandwidth.share)} passes slowly on purpose, by ${policy}: ${bandwidthTold(bandwidth)}`]),
    ...(endsAt === undefined ? [] : [`${policy} ends at ${new Date(endsAt).toISOString()}`]),
  ],
  sizes: ({ bodyBytes, headerCount, headerBytes }) => [
    ...(bodyBytes === undefined ? [] : [`a body of ${bodyBytes} bytes is taken at most`]),
    ...(headerCount === undefined ? [] : [`a header of ${headerCount} fields is taken at most`]),
    ...(headerBytes === undefined ? [] : [`a header of ${headerBytes} bytes is taken at most`]),
  ],
  compression: ({ answers, requests, takesCoded }) => [
    ...(answers === undefined
      ? []
      : [`answers of ${answers.minBytes} bytes or more are compressed for who takes ${answers.codings.join(', ')}`]),
    ...(requests === undefined ? [] : [`requests of ${requests.minBytes} bytes or more are compressed: ${requests.coding}`]),
    ...(takesCoded === undefined ? [] : [`compressed requests are taken apart, up to ${takesCoded.maxBytes} bytes`]),
  ],
  rateLimit: ({ requests, intervalMs, burst }) => [`at most ${requests} in ${intervalMs} ms are taken in, ${burst} at once`],
  login: name => [`a login is asked for, by LoginPolicy ${name}`],
  tokens: name => [`a token is asked for, by JWTPolicy ${name}`],
  authorize: names =>
    names.map(name => `a service is asked whether it may go on, by ${name}: nobody but that service knows what it answers`),
  quota: ({ name }) => [`the service that counts for all proxies is asked, by RateLimitPolicy ${name}`],
} as const satisfies Sentences

const abortTold = (abort: Abort): string =>
  !('status' in abort) ? (abort.type === 'drop' ? 'lost' : abort.type) : `answered ${abort.type === 'grpc' ? 'gRPC ' : ''}${abort.status}`

const bandwidthTold = ({ requestsBps, answersBps }: NonNullable<Fault['bandwidth']>): string =>
  [
    ...(requestsBps === undefined ? [] : [`requests ${requestsBps} bytes/s`]),
    ...(answersBps === undefined ? [] : [`answers ${answersBps} bytes/s`]),
  ].join(', ')

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
