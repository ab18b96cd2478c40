/** What `weft get` may be told. */

export type GetFlags = {
  readonly output?: 'table' | 'wide' | 'yaml' | 'json' | 'name'
  readonly watch?: boolean
  readonly selector?: string
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly headers?: boolean
  readonly showManagedFields?: boolean
  readonly control?: string
}
