/** The proxy's own page on loopback: metrics for Prometheus, readiness, the configuration in use. */

import type { Exclusions } from '#base/exclusions'
import { serveHttp } from '#io/http-server'
import type { Core } from './core.ts'

export type Admin = AsyncDisposable & { readonly url: string }

/** How connections get in, and which do not. */
type Interception = { readonly capture: string; readonly exclude: Exclusions; readonly externalVips: boolean }

/** port 0: any free one. certificate: what `/status` tells of it. */
export async function openAdmin(
  core: Core,
  port: number,
  certificate: () => { readonly notAfter: number; readonly identity: string } | undefined,
  interception?: Interception,
): Promise<Admin> {
  const json = (value: unknown, status = 200) => ({
    status,
    headers: { 'content-type': 'application/json' },
    body: `${JSON.stringify(value, undefined, 2)}\n`,
  })
  const serving = await serveHttp({
    host: '127.0.0.1',
    port,
    handler: ({ path }) => {
      switch (path) {
        case '/metrics':
          return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, body: core.meter.registry.text() }
        case '/ready':
          return core.isReady && !core.isDraining
            ? { status: 200, body: 'ready\n' }
            : { status: 503, body: core.isDraining ? 'draining\n' : 'waiting for the first configuration\n' }
        case '/config':
          return json(core.view)
        case '/status':
          return json({
            ready: core.isReady,
            draining: core.isDraining,
            ...(interception === undefined ? {} : { interception }),
            certificate: certificate() && { identity: certificate()!.identity, notAfter: new Date(certificate()!.notAfter).toISOString() },
          })
        case '/':
          return { status: 200, headers: { 'content-type': 'text/plain' }, body: 'weft proxy: /metrics /ready /config /status\n' }
        default:
          return { status: 404, body: 'there is /metrics, /ready, /config and /status\n' }
      }
    },
  })
  return { url: `http://127.0.0.1:${serving.port}`, [Symbol.asyncDispose]: () => serving.close() }
}
