/** The application of the tests of changes and faults: the service `front` in versions, and routes that tell who of them answers. */

import type { Resource } from '../../src/resources/kind.ts'
import { startServer, type ServerOptions } from './load.ts'
import { kinds, type Mesh, type Running } from './mesh.ts'

export type Rule = { readonly matches?: readonly object[]; readonly filters?: readonly object[]; readonly backendRefs: readonly object[] }

/** Another instance of a version; it says that it is `instance`. */
export const startFront = (
  mesh: Mesh,
  version: string,
  { instance = version, flags = [], ...more }: Partial<ServerOptions> = {},
): Running =>
  startServer(mesh, `front-${version}`, { ...more, instance, flags: ['--service', 'front', '--app-version', version, ...flags] })

export const to = (version: string, weight = 1): object => ({ name: `front-${version}`, port: 8080, weight })
export const split = (v1: number, v2: number): Rule => ({ backendRefs: [to('v1', v1), to('v2', v2)] })
export const forHeader = (value: string, rule: Rule): Rule => ({ ...rule, matches: [{ headers: [{ name: 'x-who', value }] }] })
export const adding = (value: string, rule: Rule): Rule => ({
  ...rule,
  filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-added', value }] } }],
})
export const route = (name: string, ...rules: readonly Rule[]): Resource =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'default' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'front' }], rules },
  }) as Resource

/** Resolves with the revision that has it. */
export const apply = async (mesh: Mesh, resource: Resource): Promise<number> =>
  Number((await mesh.client.apply(kinds.httpRoute, resource, { force: true })).resource.metadata.resourceVersion)

/** Resolves when every connected proxy has the revision active. */
export const active = (mesh: Mesh, revision: number): Promise<void> =>
  mesh.until(`revision ${revision} on every proxy`, async () => {
    const now = await mesh.client.convergence(revision)
    return now.total > 0 && now.active === now.total
  })
