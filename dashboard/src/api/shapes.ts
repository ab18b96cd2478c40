/** What the pages handle, as types alone: kinds, resources and the errors about their fields. */

import type { ServedKind } from '../../../src/api/client.ts'
import type { Status } from '../../../src/api/conditions.ts'
import type { Resource as AnyResource, Condition } from '../../../src/resources/kind.ts'

export type { Cause } from '../../../src/api/client.ts'
export type { Condition }
export type Kind = ServedKind

export type Resource = AnyResource<unknown, Status>
