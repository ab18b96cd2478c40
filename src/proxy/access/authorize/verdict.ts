/** What the answer of an authorization service comes to, within the bounds of what it may say. */

import { isUntouchable } from '#model/authorize'
import type { AuthorizerQuestion } from '#model/authorizer'
import type { HeaderChange, NameValue } from '#model/filter'
import { type Fields, forwardable } from '#wire/http1'
import type { CheckField, CheckReply } from '#xds/rpcs'
import type { HttpReply } from '../../requests/http-call.ts'

/** none: nothing that can be understood came. invalid: it asks for what must not be done. query: undefined: as it is. */
export type Verdict =
  | {
      readonly type: 'allowed'
      readonly request: HeaderChange
      readonly answer: HeaderChange
      readonly query?: Extract<CheckReply, { isAllowed: true }>['query']
    }
  | { readonly type: 'denied'; readonly status: number; readonly fields: Fields; readonly body: Uint8Array }
  | { readonly type: 'none' | 'invalid'; readonly why: string }

/** Of all headers that one answer sets. */
const maxHeaderBytes = 32_768
/** Of a connection, about which no answer can say more than yes. */
export const noChange: HeaderChange = { set: [], add: [], remove: [] }

class Unfit extends Error {}
const unfit = (why: string): never => {
  throw new Unfit(why)
}

/** hasHeader: of the request. */
export function verdictOf(reply: CheckReply, hasHeader: (name: string) => boolean): Verdict {
  return fitting(() => {
    if (!reply.isAllowed) {
      const { status, fields, body } = reply
      if (!(Number.isInteger(status) && status >= 200 && status <= 599)) unfit(`it answers with the status ${status}`)
      return { type: 'denied', status, fields: listOf(answerChange(fields)), body: new TextEncoder().encode(body) }
    }
    const { fields, remove, answer, query } = reply
    const texts = [...query.set.flatMap(({ name, value }) => [name, value]), ...query.remove]
    if (!texts.every(text => /^[A-Za-z0-9._~%+-]*$/.test(text))) unfit('what it sets in the query is not written as in a URL')
    const own = fields.map(each => ({ ...fitField(each), how: each.how }))
    const names = remove.map(fitName)
    const forbidden = [...own.map(({ name }) => name), ...names].find(isUntouchable)
    if (forbidden !== undefined) unfit(`it may not change the header ${forbidden}`)
    bound(own)
    const kept = own.filter(({ how, name }) => (how === 'absent' ? !hasHeader(name) : how !== 'present' || hasHeader(name)))
    const changes = query.set.length > 0 || query.remove.length > 0
    return {
      type: 'allowed',
      request: {
        set: lastOf(kept.filter(({ how }) => how !== 'add')),
        add: kept.flatMap(({ how, name, value }) => (how === 'add' ? [{ name, value }] : [])),
        remove: names,
      },
      answer: answerChange(answer),
      ...(changes ? { query } : {}),
    }
  })
}

/** 200 lets it on; of 5xx nothing is known, as Envoy has it; else it is the answer. */
export function verdictOfHttp(reply: HttpReply, { toBackend, toCaller }: Extract<AuthorizerQuestion, { type: 'http' }>): Verdict {
  return fitting(() => {
    const { status, body } = reply
    if (status >= 500) return { type: 'none', why: `it answers ${status}` }
    const fields = forwardable(reply.fields)
    const all = pairsOf(fields).filter(({ name }) => !isUntouchable(name))
    bound(all)
    if (status !== 200) return { type: 'denied', status, fields: listOf({ set: [], add: all, remove: [] }), body }
    const some = (names: readonly string[]): readonly NameValue[] => all.filter(({ name }) => names.includes(name))
    return {
      type: 'allowed',
      request: { set: toBackend === 'all' ? all : some(toBackend), add: [], remove: [] },
      answer: { set: [], add: some(toCaller), remove: [] },
    }
  })
}

function fitting(work: () => Verdict): Verdict {
  try {
    return work()
  } catch (thrown) {
    if (thrown instanceof Unfit) return { type: 'invalid', why: thrown.message }
    throw thrown
  }
}

/** What the caller gets: what frames the answer is not the service's. */
function answerChange(fields: readonly CheckField[]): HeaderChange {
  const own = fields.map(each => ({ ...fitField(each), how: each.how })).filter(({ name }) => !isUntouchable(name))
  bound(own)
  if (own.some(({ how }) => how === 'absent' || how === 'present'))
    unfit('what the answer will have is not known yet: headers of it are set or added')
  return {
    set: lastOf(own.filter(({ how }) => how === 'set')),
    add: own.flatMap(({ how, name, value }) => (how === 'add' ? [{ name, value }] : [])),
    remove: [],
  }
}

/** Of several that replace the same header the last does. */
const lastOf = (fields: readonly NameValue[]): readonly NameValue[] =>
  fields.filter(({ name }, at) => fields.findLastIndex(other => other.name === name) === at).map(({ name, value }) => ({ name, value }))

const listOf = ({ set, add }: HeaderChange): Fields => [...set, ...add].flatMap(({ name, value }) => [name, value])

function fitName(text: string): string {
  if (!/^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/.test(text)) unfit(`${JSON.stringify(text.slice(0, 64))} is no name of a header`)
  return text.toLowerCase()
}

/** A text of protobuf is UTF-8; in a header it is its bytes. */
function fitField({ name, value }: NameValue): NameValue {
  const lower = fitName(name)
  const bytes = Buffer.from(value, 'utf8').toString('latin1')
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(bytes)) unfit(`the value of the header ${lower} has a character that no header may have`)
  return { name: lower, value: bytes.trim() }
}

function bound(fields: readonly NameValue[]): void {
  let bytes = 0
  for (const { name, value } of fields) bytes += name.length + value.length
  if (bytes > maxHeaderBytes) unfit(`its headers have ${bytes} bytes, and may have ${maxHeaderBytes}`)
}

const pairsOf = (fields: Fields): readonly NameValue[] =>
  fields.flatMap((name, at) => (at % 2 === 0 ? [{ name: name.toLowerCase(), value: fields[at + 1]! }] : []))
