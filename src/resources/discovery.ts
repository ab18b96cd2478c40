/** Kinds of discovery.k8s.io that the mesh reads. */

import { endpointSlice } from './discovery/endpoint-slice.ts'
import type { Kind } from './kind.ts'

export { discoveryGroup, type EndpointSlice, serviceNameLabel } from './discovery/endpoint-slice.ts'

export const discoveryKinds: readonly Kind[] = [endpointSlice]
