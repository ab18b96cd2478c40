/** What a new resource starts as: the shapes that people need most, ready to be filled in. */

import type { Kind } from '../api/resources.ts'
import { apiVersionOf } from '../api/resources.ts'

export type Template = { readonly id: string; readonly name: string; readonly text: (service: string, namespace: string) => string }

const route = (
  kind: string,
  name: string,
  service: string,
  namespace: string,
  rules: string,
): string => `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata:
  name: ${name}
  namespace: ${namespace}
spec:
  parentRefs:
    - group: ""
      kind: Service
      name: ${service}
  rules:
${rules.trim().replace(/^/gm, '    ')}
`

const http: readonly Template[] = [
  {
    id: 'split',
    name: 'Split traffic between two versions',
    text: (service, namespace) =>
      route(
        'HTTPRoute',
        `${service}-split`,
        service,
        namespace,
        `- backendRefs:\n    - name: ${service}-v1\n      port: 8080\n      weight: 90\n    - name: ${service}-v2\n      port: 8080\n      weight: 10`,
      ),
  },
  {
    id: 'header',
    name: 'Send requests with a header to another version',
    text: (service, namespace) =>
      route(
        'HTTPRoute',
        `${service}-by-header`,
        service,
        namespace,
        `- matches:\n    - headers:\n        - name: x-version\n          value: v2\n  backendRefs:\n    - name: ${service}-v2\n      port: 8080\n- backendRefs:\n    - name: ${service}-v1\n      port: 8080`,
      ),
  },
  {
    id: 'path',
    name: 'Send a path elsewhere, rewritten',
    text: (service, namespace) =>
      route(
        'HTTPRoute',
        `${service}-path`,
        service,
        namespace,
        `- matches:\n    - path:\n        type: PathPrefix\n        value: /old\n  filters:\n    - type: URLRewrite\n      urlRewrite:\n        path:\n          type: ReplacePrefixMatch\n          replacePrefixMatch: /new\n  backendRefs:\n    - name: ${service}\n      port: 8080\n- backendRefs:\n    - name: ${service}\n      port: 8080`,
      ),
  },
  {
    id: 'redirect',
    name: 'Redirect a path',
    text: (service, namespace) =>
      route(
        'HTTPRoute',
        `${service}-redirect`,
        service,
        namespace,
        `- matches:\n    - path:\n        type: PathPrefix\n        value: /old\n  filters:\n    - type: RequestRedirect\n      requestRedirect:\n        path:\n          type: ReplacePrefixMatch\n          replacePrefixMatch: /new\n        statusCode: 302\n- backendRefs:\n    - name: ${service}\n      port: 8080`,
      ),
  },
  {
    id: 'timeout',
    name: 'Limit how long requests may take',
    text: (service, namespace) =>
      route(
        'HTTPRoute',
        `${service}-timeout`,
        service,
        namespace,
        `- timeouts:\n    request: 2s\n  backendRefs:\n    - name: ${service}\n      port: 8080`,
      ),
  },
]

const bare = (kind: Kind): Template => ({
  id: 'bare',
  name: `An empty ${kind.kind}`,
  text: (_, namespace) =>
    `apiVersion: ${apiVersionOf(kind)}\nkind: ${kind.kind}\nmetadata:\n  name: my-${kind.kind.toLowerCase()}\n${kind.namespaced ? `  namespace: ${namespace}\n` : ''}spec: {}\n`,
})

const service: Template = {
  id: 'service',
  name: 'A service in front of some workloads',
  text: (_, namespace) =>
    `apiVersion: v1\nkind: Service\nmetadata:\n  name: my-service\n  namespace: ${namespace}\nspec:\n  selector:\n    app: my-service\n  ports:\n    - name: http\n      port: 8080\n      appProtocol: http\n`,
}

export function templatesFor(kind: Kind): readonly Template[] {
  if (kind.kind === 'HTTPRoute') return [...http, bare(kind)]
  if (kind.group === '' && kind.kind === 'Service') return [service, bare(kind)]
  return [bare(kind)]
}
