/** Weft's own kinds: only what Gateway API has no word for. */

import type { Kind } from './kind.ts'
import { accessPolicy } from './weft/access-policy.ts'
import { backendPolicy } from './weft/backend-policy.ts'
import { faultPolicy } from './weft/fault-policy.ts'
import { mesh } from './weft/mesh.ts'
import { rateLimitPolicy } from './weft/rate-limit-policy.ts'
import { workload } from './weft/workload.ts'

export type { AccessOperation, AccessPath, AccessPolicy, AccessPolicySpec, AccessSource, AccessTarget } from './weft/access-policy.ts'
export { rootNamespace } from './weft/access-policy.ts'
export type { BackendPolicy, BackendPolicySpec } from './weft/backend-policy.ts'
export type { FaultPolicy, FaultPolicySpec } from './weft/fault-policy.ts'
export type { MeshResource, MeshSpec } from './weft/mesh.ts'
export type { RateLimitPolicy, RateLimitPolicySpec } from './weft/rate-limit-policy.ts'
export type { RouteTarget } from './weft/route-targets.ts'
export type { WorkloadResource, WorkloadSpec, WorkloadStatus } from './weft/workload.ts'

export const weftGroup = 'weft.dev'
export const weftKinds: readonly Kind[] = [mesh, workload, backendPolicy, faultPolicy, rateLimitPolicy, accessPolicy]
