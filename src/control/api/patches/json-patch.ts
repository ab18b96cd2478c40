/** JSON Patch, RFC 6902, over JSON Pointer, RFC 6901. */

import { badRequest, Refusal } from '../refusal.ts'

type Step = { readonly op: string; readonly path: string; readonly from?: string; readonly value?: unknown }

/** More steps than anyone writes by hand cost the server more than they are worth; the Kubernetes API has the same bound. */
const maxSteps = 10_000

/** The patched copy. Throws a 400 for a patch that is none, a 422 for one that does not fit the document. */
export function jsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations (RFC 6902)')
  if (patch.length > maxSteps)
    throw new Refusal(413, 'RequestEntityTooLarge', `the patch has ${patch.length} operations; at most ${maxSteps} are taken`)
  return patch.reduce<unknown>((at, step, index) => apply(at, stepOf(step, index), index), document)
}

function stepOf(step: unknown, index: number): Step {
  const { op, path, from } = (typeof step === 'object' && step !== null ? step : {}) as Partial<Step>
  if (typeof op !== 'string' || typeof path !== 'string') throw badRequest(`operation ${index} of the JSON patch: op and path are needed`)
  if ((op === 'move' || op === 'copy') && typeof from !== 'string')
    throw badRequest(`operation ${index} of the JSON patch: ${op} needs from`)
  if ((op === 'add' || op === 'replace' || op === 'test') && !('value' in (step as object)))
    throw badRequest(`operation ${index} of the JSON patch: ${op} needs value`)
  return step as Step
}

function apply(document: unknown, { op, path, from = '', value }: Step, index: number): unknown {
  const unfit = (why: string): Refusal => {
    const causes = [{ reason: 'FieldValueInvalid', message: why, field: path }]
    return new Refusal(422, 'Invalid', `operation ${index} of the JSON patch (${op} ${path}): ${why}`, { causes })
  }
  switch (op) {
    case 'add':
      return edit(document, pointer(path), unfit, add(value))
    case 'remove':
      return edit(document, pointer(path), unfit, remove)
    case 'replace':
      return path === '' ? value : edit(document, pointer(path), unfit, replace(value))
    case 'test':
      if (!equal(valueAt(document, pointer(path), unfit), value)) throw unfit('the value there is another')
      return document
    case 'copy':
      return edit(document, pointer(path), unfit, add(structuredClone(valueAt(document, pointer(from), unfit))))
    case 'move': {
      if (path.startsWith(`${from}/`)) throw unfit('a value cannot be moved into itself')
      const moved = valueAt(document, pointer(from), unfit)
      return edit(edit(document, pointer(from), unfit, remove), pointer(path), unfit, add(moved))
    }
    default:
      throw badRequest(`operation ${index} of the JSON patch: "${op}" is none: use add, remove, replace, move, copy or test`)
  }
}

function pointer(text: string): readonly string[] {
  if (text === '') return []
  if (!text.startsWith('/')) throw badRequest(`"${text}" is no JSON pointer: it begins with "/" (RFC 6901)`)
  return text
    .slice(1)
    .split('/')
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

type Unfit = (why: string) => Refusal
type Holder = Record<string, unknown> | unknown[]
/** Changes one key of a fresh copy of its holder. */
type Edit = (holder: Holder, key: string, unfit: Unfit) => void

function edit(document: unknown, path: readonly string[], unfit: Unfit, change: Edit): unknown {
  if (path.length === 0) {
    // The whole document as the only value of a holder.
    const holder: Record<string, unknown> = { '': document }
    change(holder, '', unfit)
    return holder['']
  }
  const [key, ...rest] = path as [string, ...string[]]
  const holder = copyOf(document, unfit)
  if (rest.length === 0) change(holder, key, unfit)
  else if (Array.isArray(holder)) holder[indexIn(holder, key, unfit)] = edit(holder[indexIn(holder, key, unfit)], rest, unfit, change)
  else set(holder, key, edit(own(holder, key, unfit), rest, unfit, change))
  return holder
}

function copyOf(value: unknown, unfit: Unfit): Holder {
  if (Array.isArray(value)) return [...value]
  if (typeof value === 'object' && value !== null) return { ...value } as Record<string, unknown>
  throw unfit('there is no object or list to hold it')
}

const add =
  (value: unknown): Edit =>
  (holder, key, unfit) => {
    if (!Array.isArray(holder)) return set(holder, key, value)
    holder.splice(key === '-' ? holder.length : indexIn([...holder, undefined], key, unfit), 0, value)
  }
const replace =
  (value: unknown): Edit =>
  (holder, key, unfit) => {
    if (Array.isArray(holder)) return void (holder[indexIn(holder, key, unfit)] = value)
    own(holder, key, unfit)
    set(holder, key, value)
  }
const remove: Edit = (holder, key, unfit) => {
  if (Array.isArray(holder)) return void holder.splice(indexIn(holder, key, unfit), 1)
  own(holder, key, unfit)
  delete holder[key]
}

/** A key such as `__proto__` is a key like any other. */
function set(holder: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
}

function own(holder: Record<string, unknown>, key: string, unfit: Unfit): unknown {
  if (!Object.hasOwn(holder, key)) throw unfit(`there is no "${key}"`)
  return holder[key]
}

function indexIn(list: readonly unknown[], key: string, unfit: Unfit): number {
  if (!/^(0|[1-9]\d*)$/.test(key) || Number(key) >= list.length) throw unfit(`"${key}" is no index of that list`)
  return Number(key)
}

function valueAt(document: unknown, path: readonly string[], unfit: Unfit): unknown {
  return path.reduce<unknown>((at, key) => {
    const holder = copyOf(at, unfit)
    return Array.isArray(holder) ? holder[indexIn(holder, key, unfit)] : own(holder, key, unfit)
  }, document)
}

function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every(key => Object.hasOwn(b, key) && equal((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
  )
}
