/** JSON Patch, RFC 6902, over JSON Pointer, RFC 6901. */

import { badRequest, Refusal } from '../refusal.ts'

type Step = { readonly op: string; readonly path: string; readonly from?: string; readonly value?: unknown }

/** More steps than anyone writes by hand cost the server more than they are worth; the Kubernetes API has the same bound. */
const maxSteps = 10_000
/** Of all that it copies, in characters of JSON: each copy may hold the ones before. Bytes of a body are bounded alike. */
const maxCopied = 3 * 1024 * 1024
/** Of all lists and mappings that its steps go through. */
const maxTouched = 5_000_000

/** What a patch has cost so far. */
class Cost {
  #copied = 0
  #touched = 0

  copy(value: unknown): void {
    this.#copied += JSON.stringify(value)?.length ?? 0
    if (this.#copied > maxCopied) throw tooLarge(`it copies more than ${maxCopied} characters`)
  }

  touch(entries: number): void {
    this.#touched += entries
    if (this.#touched > maxTouched) throw tooLarge(`its operations go through more than ${maxTouched} entries of lists and mappings`)
  }
}

const tooLarge = (says: string): Refusal => new Refusal(413, 'RequestEntityTooLarge', `the patch is too large: ${says}`)

/** The patched copy. Throws a 400 for a patch that is none, a 422 for one that does not fit the document. */
export function jsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations (RFC 6902)')
  if (patch.length > maxSteps)
    throw new Refusal(413, 'RequestEntityTooLarge', `the patch has ${patch.length} operations; at most ${maxSteps} are taken`)
  const cost = new Cost()
  return patch.reduce<unknown>((at, step, index) => apply(at, stepOf(step, index), index, cost), document)
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

function apply(document: unknown, { op, path, from = '', value }: Step, index: number, cost: Cost): unknown {
  const unfit = (why: string): Refusal => {
    const causes = [{ reason: 'FieldValueInvalid', message: why, field: path }]
    return new Refusal(422, 'Invalid', `operation ${index} of the JSON patch (${op} ${path}): ${why}`, { causes })
  }
  const changed = (at: unknown, place: string, change: Edit): unknown => edit(at, pointer(place), { unfit, cost }, change)
  switch (op) {
    case 'add':
      return changed(document, path, add(value))
    case 'remove':
      return changed(document, path, remove)
    case 'replace':
      return path === '' ? value : changed(document, path, replace(value))
    case 'test':
      if (!equal(valueAt(document, pointer(path), unfit), value)) throw unfit('the value there is another')
      return document
    case 'copy': {
      const copied = valueAt(document, pointer(from), unfit)
      cost.copy(copied)
      return changed(document, path, add(structuredClone(copied)))
    }
    case 'move': {
      if (path.startsWith(`${from}/`)) throw unfit('a value cannot be moved into itself')
      const moved = valueAt(document, pointer(from), unfit)
      return changed(changed(document, from, remove), path, add(moved))
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

function edit(document: unknown, path: readonly string[], given: { readonly unfit: Unfit; readonly cost: Cost }, change: Edit): unknown {
  const { unfit, cost } = given
  if (path.length === 0) {
    // The whole document as the only value of a holder.
    const holder: Record<string, unknown> = { '': document }
    change(holder, '', unfit)
    return holder['']
  }
  const [key, ...rest] = path as [string, ...string[]]
  const held = holderIn(document, unfit)
  const holder = Array.isArray(held) ? [...held] : { ...held }
  cost.touch(Array.isArray(holder) ? holder.length : Object.keys(holder).length)
  if (rest.length === 0) change(holder, key, unfit)
  else if (Array.isArray(holder)) holder[indexIn(holder, key, unfit)] = edit(holder[indexIn(holder, key, unfit)], rest, given, change)
  else set(holder, key, edit(own(holder, key, unfit), rest, given, change))
  return holder
}

function holderIn(value: unknown, unfit: Unfit): Holder {
  if (typeof value === 'object' && value !== null) return value as Holder
  throw unfit('there is no object or list to hold it')
}

const add =
  (value: unknown): Edit =>
  (holder, key, unfit) => {
    if (!Array.isArray(holder)) return set(holder, key, value)
    holder.splice(key === '-' ? holder.length : indexIn(holder, key, unfit, holder.length + 1), 0, value)
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

function indexIn(list: readonly unknown[], key: string, unfit: Unfit, places = list.length): number {
  if (!/^(0|[1-9]\d*)$/.test(key) || Number(key) >= places) throw unfit(`"${key}" is no index of that list`)
  return Number(key)
}

function valueAt(document: unknown, path: readonly string[], unfit: Unfit): unknown {
  return path.reduce<unknown>((at, key) => {
    const holder = holderIn(at, unfit)
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
