/** `weft proxy`: the proxies, and what each was told. */

import type { Client } from '#api/client'
import type { ProxyStatus } from '#api/mesh-api'
import { exit, Stopped } from '../exit.ts'
import { printAs } from '../print.ts'
import { leftOutOf } from '../proxy/left-out.ts'
import {
  endpointHeadings,
  endpointRows,
  proxyHeadings,
  proxyRow,
  routeHeadings,
  routeRows,
  wideProxyHeadings,
  wideProxyRow,
} from '../proxy/rows.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type ListFlags = {
  readonly output?: 'table' | 'wide' | 'json' | 'yaml' | 'name'
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly control?: string
}
type PartFlags = { readonly output?: 'table' | 'json' | 'yaml'; readonly namespace?: string; readonly control?: string }

export async function proxyList(session: Session, { output = 'table', namespace, allNamespaces, control }: ListFlags): Promise<number> {
  const { say } = session
  const { client, address } = await session.reach(control)
  const within = namespace ?? address.namespace
  const proxies = sorted(await client.proxies()).filter(proxy => allNamespaces || proxy.namespace === within)
  if (output === 'json' || output === 'yaml') await printAs(say, output, proxies)
  else if (output === 'name') for (const { id } of proxies) say.out(id)
  else if (proxies.length === 0) say.err(`no proxies${allNamespaces ? '' : ` in the namespace ${within}; -A shows those of all`}`)
  else {
    const isWide = output === 'wide'
    const now = session.now()
    printTable(
      say,
      isWide ? wideProxyHeadings : proxyHeadings,
      proxies.map(proxy => (isWide ? wideProxyRow(proxy, now) : proxyRow(proxy, now))),
    )
  }
  return exit.ok
}

/** A proxy of this machine, by the address of its admin pages. What serves is exchanged for new processes; the answer comes when those serve. */
export async function proxyRestart({ say }: Session, admin: string): Promise<number> {
  const url = URL.canParse(admin) ? new URL('/restart', admin) : undefined
  if (url === undefined || url.protocol !== 'http:')
    throw new Stopped(`"${admin}" is not the address of admin pages, such as http://127.0.0.1:9901`, exit.usage)
  const answer = await fetch(url, { method: 'POST' }).catch((thrown: unknown) => {
    const { cause, message } = thrown as Error
    throw new Stopped(`${admin} cannot be reached: ${cause instanceof Error ? cause.message : message}`)
  })
  const text = (await answer.text()).trimEnd()
  if (!answer.ok) throw new Stopped(answer.status === 404 ? `the proxy at ${admin} cannot be restarted: it is part of weft run` : text)
  say.out(text)
  return exit.ok
}

export async function proxyPart(
  session: Session,
  part: 'config' | 'endpoints' | 'routes',
  name: string,
  { output, namespace, control }: PartFlags,
): Promise<number> {
  const { say } = session
  const { client, address } = await session.reach(control)
  const proxy = await chooseProxy(client, name, namespace ?? address.namespace)
  const config = await client.proxyConfig(proxy.id)
  const { view } = config
  if (proxy.service === name && say.isTTY) say.err(say.paint('dim', `of ${proxy.id}, revision ${config.revision}`))
  if (part === 'config') await printAs(say, output === 'json' ? 'json' : 'yaml', config)
  else if (output === 'json' || output === 'yaml') await printAs(say, output, part === 'endpoints' ? view.endpoints : view.routes)
  else if (part === 'endpoints') printTable(say, endpointHeadings, endpointRows(view, await leftOutOf(client, proxy), session.now()))
  else printTable(say, routeHeadings, routeRows(view))
  return exit.ok
}

const sorted = (proxies: readonly ProxyStatus[]): readonly ProxyStatus[] => [...proxies].sort((a, b) => (a.id < b.id ? -1 : 1))

/** By WORKLOAD.NAMESPACE, workload, service or SERVICE.NAMESPACE; of a service the first connected one. remedy: what else to do where there is none, a clause. Throws Stopped. */
export async function chooseProxy(client: Pick<Client, 'proxies'>, name: string, namespace: string, remedy = ''): Promise<ProxyStatus> {
  const proxies = sorted(await client.proxies())
  const here = proxies.filter(proxy => proxy.namespace === namespace)
  const found =
    proxies.find(({ id }) => id === name) ??
    here.find(({ workload }) => workload === name) ??
    connectedFirst(here.filter(({ service }) => service === name)) ??
    connectedFirst(proxies.filter(proxy => `${proxy.service}.${proxy.namespace}` === name))
  if (found) return found
  const elsewhere = proxies.find(({ workload, service }) => workload === name || service === name)
  if (elsewhere)
    throw new Stopped(`no proxy "${name}" in the namespace ${namespace}; there is one in ${elsewhere.namespace}: -n ${elsewhere.namespace}`)
  const known = [...new Set(proxies.map(({ service }) => service))]
  const others = known.length === 0 ? 'none has connected yet' : `services with proxies: ${known.join(', ')}`
  throw new Stopped(`no proxy "${name}"${remedy === '' ? '' : `: ${remedy}`}; ${others}`)
}

const connectedFirst = (proxies: readonly ProxyStatus[]): ProxyStatus | undefined =>
  proxies.find(({ state }) => state !== 'disconnected') ?? proxies[0]
