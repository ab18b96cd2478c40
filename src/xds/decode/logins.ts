/** The filter of our own for logins at a Gateway → what routes ask of callers: what is not whole is refused. */

import { toJson } from '@bufbuild/protobuf'
import { type Any, StructSchema } from '@bufbuild/protobuf/wkt'
import type { LoginPolicy } from '#model/login'
import { refuse, unpack } from './carried.ts'
import { checkWords } from './words.ts'

type Shape = Readonly<Record<string, unknown>>

const texts = ['name', 'issuer', 'clientId', 'secret', 'redirectPath', 'logoutPath', 'afterLogout'] as const
const lists = ['keys', 'scopes', 'parameters', 'claimsToHeaders', 'apiPaths'] as const
const numbers = ['timeoutMs', 'lifetimeMs'] as const
const flags = ['refreshes', 'passesBearer'] as const
const others = ['secretIn', 'ca', 'cookie', 'accessToken', 'idToken', 'choosesRoutes', 'wrong'] as const
const known: ReadonlySet<string> = new Set([...texts, ...lists, ...numbers, ...flags, ...others])

export function decodeLogins(any: Any, where: string): readonly LoginPolicy[] {
  const said = toJson(StructSchema, unpack(any, StructSchema, where)) as { readonly policies?: unknown }
  checkWords(said, 'logins', where)
  const { policies } = said
  if (!Array.isArray(policies)) return refuse(`${where}.policies`, 'is needed')
  return policies.map((each, index) => checked(each as Shape, `${where}.policies[${index}]`))
}

function checked(policy: Shape, where: string): LoginPolicy {
  const unknown = Object.keys(policy).find(name => !known.has(name))
  if (unknown !== undefined) refuse(`${where}.${unknown}`, 'not carried out by this proxy')
  const need = (names: readonly string[], fits: (value: unknown) => boolean, what: string): void => {
    for (const name of names) if (!fits(policy[name])) refuse(`${where}.${name}`, `${what} is needed`)
  }
  need(texts, value => typeof value === 'string', 'text')
  need(lists, value => Array.isArray(value), 'a list')
  need(numbers, value => typeof value === 'number', 'a number')
  need(flags, value => typeof value === 'boolean', 'true or false')
  need(['secretIn'], value => value === 'header' || value === 'body', 'header or body')
  need(['cookie'], value => typeof (value as Shape | undefined)?.['name'] === 'string', 'a cookie with a name')
  const made = policy as unknown as LoginPolicy
  if (made.keys.length === 0 && made.wrong === undefined) refuse(`${where}.keys`, 'at least one is needed')
  return made
}
