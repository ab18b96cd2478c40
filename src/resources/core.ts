/** Kinds of the core API group that the mesh reads. */

import type { Kind } from './kind.ts'
import { configMap } from './core/config-map.ts'
import { namespace } from './core/namespace.ts'
import { secret } from './core/secret.ts'
import { service } from './core/service.ts'

export type { ConfigMap } from './core/config-map.ts'
export type { Namespace } from './core/namespace.ts'
export type { Secret } from './core/secret.ts'
export type { Service, ServiceSpec } from './core/service.ts'

export const coreKinds: readonly Kind[] = [service, namespace, secret, configMap]
