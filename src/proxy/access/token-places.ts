/** Where in a request a token stands, and the request without it. */

import { TokenRefused } from '#identity/jwt'
import { plainName } from '#model/claim-headers'
import type { TokenPlace } from '#model/token'
import type { Exchange } from '../requests/exchange.ts'

export type Found = { readonly text: string; readonly place: TokenPlace }

/** All that there are. Throws TokenRefused where one place has several: who reads the request next might take another than was judged. */
export function findTokens(exchange: Exchange, places: readonly TokenPlace[]): readonly Found[] {
  return places.flatMap((place): readonly Found[] => {
    const values =
      place.type === 'header'
        ? headersNamed(exchange, place.name)
        : place.type === 'query'
          ? queryOf(exchange, place.name)
          : cookiesOf(exchange, place.name)
    if (values.length > 1) throw new TokenRefused('there is more than one')
    const [value] = values
    if (value === undefined) return []
    if (place.type !== 'header') return [{ text: value, place }]
    const { prefix } = place
    // The scheme of Authorization has no case (RFC 9110 §11.1), and some servers take a tab behind it for a space: what they might read as a token is one.
    if (value.length < prefix.length || value.slice(0, prefix.length).replaceAll('\t', ' ').toLowerCase() !== prefix.toLowerCase())
      return []
    return [{ text: value.slice(prefix.length).trim(), place }]
  })
}

/** Also in spellings that servers of CGI's kind take for the same name. */
function headersNamed({ head: { fields } }: Exchange, name: string): readonly string[] {
  const found: string[] = []
  for (let at = 0; at < fields.length; at += 2) if (isNamed(fields[at]!, name)) found.push(fields[at + 1]!)
  return found
}

const isNamed = (field: string, name: string): boolean =>
  field.length === name.length && (field.toLowerCase() === name || plainName(field) === plainName(name))

const queryOf = ({ search }: Exchange, name: string): readonly string[] => (search === '' ? [] : new URLSearchParams(search).getAll(name))

const cookiesOf = (exchange: Exchange, name: string): readonly string[] =>
  headersNamed(exchange, 'cookie').flatMap(line => line.split(';').flatMap(pair => (nameOf(pair) === name ? [unquoted(pair)] : [])))

const nameOf = (pair: string): string => pair.slice(0, Math.max(0, pair.indexOf('='))).trim()
const unquoted = (pair: string): string =>
  pair
    .slice(pair.indexOf('=') + 1)
    .trim()
    .replace(/^"(.*)"$/, '$1')

/** As it goes on to a workload that is not to have the token. */
export function withoutToken(exchange: Exchange, place: TokenPlace): void {
  if (place.type === 'query') {
    const kept = exchange.search.split('&').filter(pair => new URLSearchParams(pair).get(place.name) === null)
    exchange.sentSearch = kept.join('&')
    return
  }
  if (place.type === 'cookie') return withoutCookies(exchange, name => name === place.name)
  const { set = [], add = [], remove = [] } = exchange.requestChange ?? {}
  exchange.requestChange = { set, add, remove: [...remove, ...namesLike(exchange, place.name)] }
}

/** As the request has them, in lower case: the name, and what servers of CGI's kind take for the same. name: in lower case. */
export const namesLike = ({ head: { fields } }: Exchange, name: string): readonly string[] =>
  fields.flatMap((field, at) => (at % 2 === 0 && isNamed(field, name) ? [field.toLowerCase()] : []))

/** Those that are for this proxy do not go on; what was taken out before stays out. */
export function withoutCookies(exchange: Exchange, isOwn: (name: string) => boolean): void {
  const { set = [], add = [], remove = [] } = exchange.requestChange ?? {}
  const before = set.find(each => each.name === 'cookie')
  const lines = before !== undefined ? [before.value] : remove.includes('cookie') ? [] : headersNamed(exchange, 'cookie')
  const all = lines.flatMap(line => line.split(';'))
  const kept = all.filter(pair => !isOwn(nameOf(pair)))
  if (kept.length === all.length) return
  const others = set.filter(each => each !== before)
  exchange.requestChange =
    kept.length === 0
      ? { set: others, add, remove: [...remove, 'cookie'] }
      : { set: [...others, { name: 'cookie', value: kept.map(pair => pair.trim()).join('; ') }], add, remove }
}
