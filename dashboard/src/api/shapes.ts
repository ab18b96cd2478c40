/** What the pages handle, as types alone: kinds, resources and the errors about their fields. */

import type { ServedKind } from '../../../src/api/client.ts'
import type { Resource as AnyResource, Condition } from '../../../src/resources/kind.ts'

export type { Cause } from '../../../src/api/client.ts'
export type { Condition }
export type Kind = ServedKind

/** `status.parents` is where Gateway API routes keep their conditions. */
type Status = {
  readonly conditions?: readonly Condition[]
  readonly parents?: readonly {
    readonly parentRef?: { readonly name?: string; readonly kind?: string }
    readonly conditions?: readonly Condition[]
  }[]
}
export type Resource = AnyResource<unknown, Status>
