/** What a line of the access log may tell, in these words, and how a template of them is read. */

/** duration, firstByte: milliseconds. The reference page of TelemetryPolicy names each. */
export const logFields = [
  'time',
  'direction',
  'listener',
  'protocol',
  'method',
  'host',
  'path',
  'status',
  'grpcStatus',
  'reason',
  'detail',
  'decision',
  'policy',
  'rule',
  'condition',
  'route',
  'source',
  'sourceIdentity',
  'sourceAddress',
  'destination',
  'destinationIdentity',
  'backend',
  'endpoint',
  'workload',
  'bytesReceived',
  'bytesSent',
  'duration',
  'firstByte',
  'attempts',
  'tlsVersion',
  'tlsGroup',
  'requestId',
  'traceId',
  'userAgent',
] as const
export type LogField = (typeof logFields)[number]

/** Text, and fields between. */
export type LogPart = string | { readonly field: LogField }

const isField = (name: string): name is LogField => (logFields as readonly string[]).includes(name)
const part = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g

/** A template such as `{time} {method} {status}`, as `logTemplateProblem` accepts it. */
export function partsOf(template: string): readonly LogPart[] {
  const parts: LogPart[] = []
  let text = ''
  let at = 0
  for (const found of template.matchAll(part)) {
    text += template.slice(at, found.index)
    at = found.index + found[0].length
    if (found[1] === undefined || !isField(found[1])) {
      text += found[0][0]!
      continue
    }
    if (text !== '') parts.push(text)
    text = ''
    parts.push({ field: found[1] })
  }
  text += template.slice(at)
  return text === '' ? parts : [...parts, text]
}

/** What is wrong with a template; undefined: nothing. */
export function logTemplateProblem(template: string): string | undefined {
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x1f\x7f]/.test(template)) return 'must be one line without control characters: the end of the line is written by the proxy'
  for (const [whole, name] of template.matchAll(part)) {
    if (whole === '{' || whole === '}') return `has a single ${whole}: write ${whole}${whole} for the character itself`
    if (name !== undefined && !isField(name)) return `names {${name}}, which is no field; fields are ${logFields.join(', ')}`
  }
  return template.includes('{') && partsOf(template).some(each => typeof each !== 'string') ? undefined : 'names no field, such as {method}'
}

/**
 * Why a file may not be a log; undefined: it may. Whoever writes policies says what stands in it, and is not to reach other files of the proxy's user: so it
 * must be called a log.
 */
export function logPathProblem(path: string): string | undefined {
  if (!path.startsWith('/') || path.includes('\0')) return 'must be an absolute path of a file'
  return /[^/]\.(log|jsonl|ndjson)$/.test(path)
    ? undefined
    : 'must end in .log, .jsonl or .ndjson, so that nothing but logs can be written to'
}
