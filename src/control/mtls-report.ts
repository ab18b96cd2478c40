/** Who still speaks plaintext to workloads of the mesh, and whether it could be refused: GET /weft/v1/mtls. */

import type { MtlsCaller, MtlsPortReport, MtlsReport, MtlsStanding } from '#api/mesh-api'
import { modeAt } from '#compiler'
import type { Mesh } from '#model/mesh'
import type { Inventory, Workload, WorkloadPort } from '#model/workload'
import type { Traffic } from '#observe/traffic'

/** port: number or name. withinMs: what was longer ago does not count any more. */
export type MtlsQuestion = { readonly namespace?: string; readonly service?: string; readonly port?: string; readonly withinMs: number }

export function reportMtls(
  { workloads }: Inventory,
  mesh: Pick<Mesh, 'mtls'>,
  traffic: Pick<Traffic, 'arrivals'>,
  { namespace, service, port, withinMs }: MtlsQuestion,
  now: number,
): MtlsReport {
  const ports = workloads
    .filter(each => (namespace === undefined || each.namespace === namespace) && (service === undefined || each.service === service))
    .flatMap(each =>
      each.ports
        // Datagrams come by other proxies only, and what is reached without a proxy is watched by nobody.
        .filter(({ bind, protocol }) => bind !== undefined && protocol !== 'udp')
        .filter(({ port: number, name }) => port === undefined || port === String(number) || port === name)
        .map(at => tellPort(each, at, workloads, mesh, traffic, now - withinMs)),
    )
  const since = ports.flatMap(each => (each.watchedSince === undefined ? [] : [Date.parse(each.watchedSince)]))
  const why =
    ports.length === 0 ? ['no workload behind a proxy has such a port'] : ports.flatMap(each => (each.why === undefined ? [] : [each.why]))
  return {
    safe: why.length === 0,
    why,
    withinSeconds: withinMs / 1000,
    watchedSeconds: since.length < ports.length || since.length === 0 ? 0 : Math.max(0, Math.floor((now - Math.max(...since)) / 1000)),
    ports,
  }
}

/** The same in four numbers. */
export function standingOf({ ports }: Pick<MtlsReport, 'ports'>): MtlsStanding {
  const count = (mode: MtlsPortReport['mode']): number => ports.filter(each => each.mode === mode).length
  return {
    strict: count('strict'),
    permissive: count('permissive'),
    disabled: count('disabled'),
    plaintext: ports.filter(({ callers }) => callers.length > 0).length,
  }
}

function tellPort(
  workload: Workload,
  port: WorkloadPort,
  workloads: readonly Workload[],
  mesh: Pick<Mesh, 'mtls'>,
  traffic: Pick<Traffic, 'arrivals'>,
  from: number,
): MtlsPortReport {
  const told = traffic.arrivals(`${workload.name}.${workload.namespace}`)
  const found = told?.by.get(`inbound/${port.port}`)
  const mode = modeAt(mesh, workload, port)
  const caller = ({ source, connections, open, lastAt }: NonNullable<typeof found>['plaintext'][number]): MtlsCaller => {
    const known = workloads.filter(each => each.address === source)
    return {
      address: source,
      ...(known.length === 1 ? { workload: `${known[0]!.name}.${known[0]!.namespace}` } : {}),
      connections,
      open,
      lastAt: new Date(lastAt).toISOString(),
    }
  }
  const isRecent = ({ open, lastAt }: NonNullable<typeof found>['plaintext'][number]): boolean => open > 0 || lastAt >= from
  const callers = (found?.plaintext ?? []).filter(isRecent).map(caller)
  const refused = (found?.refused ?? []).filter(isRecent).map(caller)
  const place = `port ${port.port} of ${workload.name}.${workload.namespace}`
  const why =
    told === undefined
      ? `${place}: its proxy tells nothing of its callers`
      : mode === 'disabled'
        ? `${place}: it is Disabled, so that all speak plaintext: make it Permissive, and watch`
        : callers.length > 0
          ? `${place}: plaintext from ${callers.map(({ address, workload: name }) => (name === undefined ? address : `${name} (${address})`)).join(', ')}`
          : undefined
  return {
    workload: workload.name,
    namespace: workload.namespace,
    service: workload.service,
    port: port.port,
    ...(port.name === '' ? {} : { name: port.name }),
    mode,
    ...(told === undefined ? {} : { watchedSince: new Date(told.since).toISOString() }),
    mutual: found?.mutual ?? 0,
    callers,
    refused,
    ...(why === undefined ? {} : { why }),
  }
}
