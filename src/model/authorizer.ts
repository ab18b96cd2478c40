/** A service outside the proxy that is asked whether a request or a connection may go on. */

import type { AccessRule } from './access-rule.ts'

/**
 * A service outside the proxy that is asked whether a request may go on. name: `NAMESPACE/NAME` of the policy, or that of the rule of a route. backend: in
 * `View.backends`; undefined: the reference is invalid, and nothing gets on. failsOpen: without an answer the request goes on. body: so much of it is shown;
 * a longer one is cut, or answered 413. when: only requests for which one of these holds are asked about; absent: all.
 */
export type Authorizer = {
  readonly name: string
  readonly backend: string | undefined
  readonly timeoutMs: number
  readonly failsOpen: boolean
  readonly ask: AuthorizerQuestion
  readonly body?: { readonly maxBytes: number; readonly isCut: boolean }
  readonly when?: readonly AccessRule[]
}

/**
 * grpc: Envoy's service.auth.v3. headers: of the request, that it is shown; absent: all. http: the method, host and path of the request, behind `prefix`, with
 * these headers and Authorization; 200 lets it on. toBackend: headers of that answer that replace those of the request; toCaller: that go into its answer.
 * All names in lower case.
 */
export type AuthorizerQuestion =
  | { readonly type: 'grpc'; readonly headers?: readonly string[] }
  | {
      readonly type: 'http'
      readonly prefix: string
      readonly headers: readonly string[]
      readonly toBackend: readonly string[] | 'all'
      readonly toCaller: readonly string[]
    }
