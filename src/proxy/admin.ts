/** The proxy's own page on loopback: metrics for Prometheus, readiness, the configuration in use. */

import type { Exclusions } from '#base/exclusions'
import { serveHttp } from '#io/http-server'
import { ownUse } from '#io/own-use'
import { withoutKeys } from '#model/redact'
import type { Core } from './core.ts'

export type Admin = AsyncDisposable & { readonly url: string }

/** How connections get in, and which do not. */
type Interception = {
  readonly capture: string
  readonly exclude: Exclusions
  readonly externalVips: boolean
  /** Doors in plaintext that were opened on purpose. */
  readonly published: readonly string[]
}

export type Page = { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: string }

export type Subject = {
  readonly core: Core
  /** What `/status` tells of it. */
  readonly certificate: () => { readonly notAfter: number; readonly identity: string; readonly serial: string } | undefined
  readonly interception?: Interception
}

/** One page of one process's data plane. */
export function pageOf({ core, certificate, interception }: Subject, path: string): Page {
  switch (path) {
    case '/metrics':
      return metricsPage(core.meter.registry.text())
    case '/ready':
      return core.isReady && !core.isDraining
        ? { status: 200, body: 'ready\n' }
        : { status: 503, body: core.isDraining ? 'draining\n' : 'waiting for the first configuration\n' }
    case '/config':
      return jsonPage(withoutKeys(core.view))
    case '/connections':
      return jsonPage(core.secured)
    case '/status': {
      const own = certificate()
      return jsonPage({
        ready: core.isReady,
        draining: core.isDraining,
        ...(interception === undefined ? {} : { interception }),
        certificate: own && { identity: own.identity, serial: own.serial, notAfter: new Date(own.notAfter).toISOString() },
        upstreams: core.upstreams,
        leftOut: core.leftOut,
        limits: core.limits,
        concurrency: core.concurrency,
        healthChecks: core.healthChecks.map(each => ({ ...each, since: new Date(each.since).toISOString() })),
        process: ownUse(),
      })
    }
    case '/':
      return { status: 200, headers: { 'content-type': 'text/plain' }, body: 'weft proxy: /metrics /ready /config /connections /status\n' }
    default:
      return { status: 404, body: 'there is /metrics, /ready, /config, /connections and /status\n' }
  }
}

export const metricsPage = (text: string): Page => ({
  status: 200,
  headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
  body: text,
})

export const jsonPage = (value: unknown): Page => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: `${JSON.stringify(value, undefined, 2)}\n`,
})

/** port 0: any free one. page: whatever answers at this moment. restart: what a POST to /restart does; its rejection is the answer. */
export async function openAdmin(
  page: (path: string) => Page | Promise<Page>,
  port: number,
  restart?: () => Promise<string>,
): Promise<Admin> {
  const serving = await serveHttp({
    host: '127.0.0.1',
    port,
    handler: async ({ method, path }) => {
      if (path !== '/restart' || restart === undefined) return page(path)
      if (method !== 'POST') return { status: 405, headers: { allow: 'POST' }, body: 'a restart is asked for with POST\n' }
      try {
        return { status: 200, body: `${await restart()}\n` }
      } catch (thrown) {
        return {
          status: 500,
          body: `not restarted, what ran before goes on: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`,
        }
      }
    },
  })
  return { url: `http://127.0.0.1:${serving.port}`, [Symbol.asyncDispose]: () => serving.close() }
}
