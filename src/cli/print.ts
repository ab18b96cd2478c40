/** Values as JSON or YAML on stdout. */

import type { Resource } from '#resources/kind'
import type { Say } from './say.ts'

export async function printAs(say: Say, format: 'json' | 'yaml', value: unknown): Promise<void> {
  say.raw(await textAs(format, value))
}

export async function textAs(format: 'json' | 'yaml', value: unknown): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, undefined, 2)}\n`
  return yamlText(value)
}

export async function yamlText(value: unknown): Promise<string> {
  const { stringify } = await import('./yaml.ts')
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })
}

/** Without the notes of who owns which field, which nobody reads. */
export function withoutManagedFields<R extends Resource>(resource: R): R {
  const { managedFields: _, ...metadata } = resource.metadata as R['metadata'] & { managedFields?: unknown }
  return { ...resource, metadata }
}
