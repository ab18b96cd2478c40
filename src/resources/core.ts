/** Kinds of the core API group that the mesh reads. */

import type { Kind } from './kind.ts'
import { namespace } from './core/namespace.ts'
import { service } from './core/service.ts'

export type { Service, ServiceSpec } from './core/service.ts'

export const coreKinds: readonly Kind[] = [service, namespace]
