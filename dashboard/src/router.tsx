/** Which address shows which page. Addresses live behind `#`, so that any server, under any path, can serve the dashboard as plain files. */

import { createHashHistory, createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { Crashed, NotFound } from './shell/crashed.tsx'
import { Shell } from './shell/shell.tsx'

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: Crashed })

const topology = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: lazyRouteComponent(() => import('./topology/page.tsx'), 'TopologyPage'),
  /** select: `node/NAME.NAMESPACE` or `edge/…`, what the side panel shows. */
  validateSearch: (search: Record<string, unknown>): { select?: string; seconds?: number } => ({
    ...(typeof search['select'] === 'string' ? { select: search['select'] } : {}),
    ...([30, 60, 300].includes(Number(search['seconds'])) ? { seconds: Number(search['seconds']) } : {}),
  }),
})
const services = createRoute({
  getParentRoute: () => root,
  path: '/services',
  component: lazyRouteComponent(() => import('./services/page.tsx'), 'ServicesPage'),
})
const service = createRoute({
  getParentRoute: () => root,
  path: '/services/$service',
  component: lazyRouteComponent(() => import('./services/service.tsx'), 'ServicePage'),
})
const proxies = createRoute({
  getParentRoute: () => root,
  path: '/proxies',
  component: lazyRouteComponent(() => import('./proxies/page.tsx'), 'ProxiesPage'),
})
const proxy = createRoute({
  getParentRoute: () => root,
  path: '/proxies/$proxy',
  component: lazyRouteComponent(() => import('./proxies/proxy.tsx'), 'ProxyPage'),
})
const resources = createRoute({
  getParentRoute: () => root,
  path: '/resources',
  component: lazyRouteComponent(() => import('./resources/page.tsx'), 'ResourcesPage'),
})
/** group: `core` stands for the empty group. */
const kind = createRoute({
  getParentRoute: () => root,
  path: '/resources/$group/$version/$plural',
  component: lazyRouteComponent(() => import('./resources/page.tsx'), 'ResourcesPage'),
})
const fresh = createRoute({
  getParentRoute: () => root,
  path: '/resources/$group/$version/$plural/new',
  component: lazyRouteComponent(() => import('./resources/new-resource.tsx'), 'NewResourcePage'),
  validateSearch: (search: Record<string, unknown>): { template?: string; service?: string } => ({
    ...(typeof search['template'] === 'string' ? { template: search['template'] } : {}),
    ...(typeof search['service'] === 'string' ? { service: search['service'] } : {}),
  }),
})
/** namespace: `_` stands for none, of kinds that have no namespace. */
const resource = createRoute({
  getParentRoute: () => root,
  path: '/resources/$group/$version/$plural/$namespace/$name',
  component: lazyRouteComponent(() => import('./resources/resource.tsx'), 'ResourcePage'),
})
const status = createRoute({
  getParentRoute: () => root,
  path: '/status',
  component: lazyRouteComponent(() => import('./status/page.tsx'), 'StatusPage'),
})

export const router = createRouter({
  routeTree: root.addChildren([topology, services, service, proxies, proxy, resources, kind, fresh, resource, status]),
  history: createHashHistory(),
  defaultErrorComponent: Crashed,
  defaultPreload: 'intent',
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
