/** Header changes of a route or a share of it → Filters. */

import type { Filter, HeaderChange, NameValue } from '#model/filter'
import { HeaderValueOption_HeaderAppendAction as Append, type HeaderValueOption } from '../gen/envoy/config/core/v3/base_pb.ts'
import { refuse } from './carried.ts'

/** The four fields that routes and shares have alike. */
export type Changes = {
  readonly requestHeadersToAdd: readonly HeaderValueOption[]
  readonly requestHeadersToRemove: readonly string[]
  readonly responseHeadersToAdd: readonly HeaderValueOption[]
  readonly responseHeadersToRemove: readonly string[]
}

export function headerFilters(message: Changes, where: string): readonly Filter[] {
  const request = changeOf(message.requestHeadersToAdd, message.requestHeadersToRemove, `${where}.request_headers_to`)
  const response = changeOf(message.responseHeadersToAdd, message.responseHeadersToRemove, `${where}.response_headers_to`)
  return [
    ...(request === undefined ? [] : [{ type: 'request-headers' as const, change: request }]),
    ...(response === undefined ? [] : [{ type: 'response-headers' as const, change: response }]),
  ]
}

/** Host, as in Envoy, and what this proxy writes itself for each connection and message. */
const own = new Set(['', 'host', 'connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'content-length'])

function mustBeChangeable(name: string, where: string): void {
  if (own.has(name) || name.startsWith(':')) refuse(where, `"${name}" cannot be changed here`)
}

function changeOf(additions: readonly HeaderValueOption[], removals: readonly string[], where: string): HeaderChange | undefined {
  if (additions.length === 0 && removals.length === 0) return undefined
  const set: NameValue[] = []
  const add: NameValue[] = []
  additions.forEach((option, index) => {
    const at = `${where}_add[${index}]`
    const field = { name: (option.header?.key ?? '').toLowerCase(), value: valueOf(option, at) }
    mustBeChangeable(field.name, at)
    if (field.value === '' && !option.keepEmptyValue) return // Envoy then adds nothing
    const replaces = option.append === undefined ? option.appendAction === Append.OVERWRITE_IF_EXISTS_OR_ADD : !option.append
    if (option.append === undefined && !replaces && option.appendAction !== Append.APPEND_IF_EXISTS_OR_ADD)
      refuse(`${at}.append_action`, 'only append and overwrite are carried out')
    ;(replaces ? set : add).push(field)
  })
  const remove = removals.map(name => name.toLowerCase())
  remove.forEach((name, index) => mustBeChangeable(name, `${where}_remove[${index}]`))
  return { set, add, remove }
}

function valueOf({ header }: HeaderValueOption, where: string): string {
  if (header === undefined) refuse(where, 'header is missing')
  if (header.rawValue.length > 0) refuse(`${where}.raw_value`, 'not carried out by this proxy')
  const value = header.value.replaceAll('%%', '\0')
  if (value.includes('%')) refuse(`${where}.value`, `the substitution in "${header.value}" is not carried out by this proxy`)
  return value.replaceAll('\0', '%')
}
