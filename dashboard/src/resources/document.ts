/** A resource as text: writing it for the editor, reading it back, and finding the place in the text that an error is about. */

import type { Document, Node as YamlNode } from 'yaml'
import { LineCounter, isMap, isPair, isScalar, isSeq, parseDocument, stringify } from 'yaml'
import type { Cause, Resource } from '../api/shapes.ts'

/** What only servers write in metadata; people need not see it while they edit. */
export const serverFields = ['managedFields', 'resourceVersion', 'uid', 'generation', 'creationTimestamp', 'selfLink'] as const

/** What is shown for editing: without status and without what only servers write. */
export function toText(resource: Resource): string {
  const { status: _status, ...rest } = resource
  const metadata = Object.fromEntries(
    Object.entries(rest.metadata).filter(([field]) => !(serverFields as readonly string[]).includes(field)),
  )
  return stringify({ ...rest, metadata }, { lineWidth: 0 })
}

/** from and to are offsets in the text; line counts from 1; path is the field, where it is about one. */
export type Mark = { readonly from: number; readonly to: number; readonly line: number; readonly path?: string; readonly says: string }
export type Read = { readonly resource?: Resource; readonly document: Document; readonly marks: readonly Mark[] }

/** Reads what is in the editor. Without `resource`, `marks` says why. */
export function read(text: string): Read {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const marks = [...document.errors, ...document.warnings].map(problem => ({
    from: problem.pos[0],
    to: Math.max(problem.pos[1], problem.pos[0] + 1),
    line: lines.linePos(problem.pos[0]).line,
    says: problem.message,
  }))
  if (document.errors.length > 0) return { document, marks }
  const value: unknown = document.toJS()
  const wrong = shapeOf(value)
  if (wrong) return { document, marks: [...marks, { ...whole(document, text), line: 1, says: wrong }] }
  return { document, marks, resource: value as Resource }
}

function shapeOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'A resource is a mapping with apiVersion, kind, metadata and spec'
  const { apiVersion, kind, metadata } = value as Record<string, unknown>
  if (typeof apiVersion !== 'string') return 'apiVersion is missing'
  if (typeof kind !== 'string') return 'kind is missing'
  if (typeof (metadata as { name?: unknown } | undefined)?.name !== 'string' || (metadata as { name: string }).name === '')
    return 'metadata.name is missing'
  return undefined
}

const whole = (document: Document, text: string): { from: number; to: number } => ({
  from: 0,
  to: Math.max(
    1,
    Math.min(
      text.length,
      (document.contents as YamlNode | null)?.range?.[1] ?? 1,
      text.indexOf('\n') === -1 ? text.length : text.indexOf('\n'),
    ),
  ),
})

/** `spec.rules[0].backendRefs[1].name` → its steps; quoted or bracketed keys are understood: `metadata.labels["a.b/c"]`. */
export function stepsOf(path: string): readonly (string | number)[] {
  const steps: (string | number)[] = []
  for (const match of path.matchAll(/\[(\d+)\]|\[["']?([^\]"']+)["']?\]|([^.[\]]+)/g)) {
    if (match[1] !== undefined) steps.push(Number(match[1]))
    else steps.push(match[2] ?? match[3]!)
  }
  return steps
}

/** Puts each cause on the key that it names; where that is not written, on the nearest thing above it that is. */
export function placeCauses(document: Document, text: string, causes: readonly Cause[]): readonly Mark[] {
  return causes.map(({ field = '', message }) => {
    const { from, to } = locate(document, stepsOf(field), text)
    return { from, to, line: text.slice(0, from).split('\n').length, ...(field === '' ? {} : { path: field }), says: message }
  })
}

function locate(document: Document, steps: readonly (string | number)[], text: string): { from: number; to: number } {
  let node: unknown = document.contents
  let found = whole(document, text)
  for (const step of steps) {
    if (isMap(node)) {
      const pair = node.items.find(item => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step))
      const key = pair && isScalar(pair.key) ? pair.key.range : undefined
      if (!pair || !key) return found
      node = pair.value
      const value = isScalar(node) ? node.range : undefined
      found = { from: key[0], to: value ? value[1] : key[1] }
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as YamlNode | undefined
      if (!item?.range) return found
      node = item
      const end = text.indexOf('\n', item.range[0])
      found = { from: item.range[0], to: Math.min(item.range[1], end === -1 ? item.range[1] : end) }
    } else return found
  }
  return found
}
