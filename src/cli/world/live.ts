/** The mesh of a control plane as documents and calls that were seen, to be asked about here. */

import type { Client } from '#api/client'
import type { CallsSeen, ControlStatus } from '#api/mesh-api'
import type { Resource } from '#resources/kind'
import { mapLimited } from '../limit.ts'
import { workloadsOf } from './inventory.ts'
import { World } from './world.ts'

export type Live = {
  readonly world: World
  readonly seen: CallsSeen
  readonly status: ControlStatus
}

/** seconds: only calls of so long; absent: all that are known. */
export async function readLive(client: Client, now: number, seconds?: number): Promise<Live> {
  const [kinds, seen, status] = await Promise.all([client.kinds(), client.calls(seconds), client.status()])
  const lists = await mapLimited(kinds, kind => client.list(kind, { all: true }))
  const resources = lists.flatMap(({ items }, at) =>
    items.map(
      (item): Resource => ({
        ...item,
        apiVersion: kinds[at]!.group === '' ? kinds[at]!.version : `${kinds[at]!.group}/${kinds[at]!.version}`,
        kind: kinds[at]!.kind,
      }),
    ),
  )
  const world = new World(resources, {
    trustDomain: status.trustDomain,
    idTemplate: status.idTemplate,
    workloads: workloadsOf(resources),
    now,
  })
  return { world, seen, status }
}

/** The same mesh with these documents instead of those of the same name, and beside the others. */
export function withDocuments(world: World, documents: readonly Resource[], now: number): World {
  const taken = new Set(documents.map(keyOf))
  const kept = world.resources.filter(each => !taken.has(keyOf(each)))
  return new World([...kept, ...documents], {
    trustDomain: world.trustDomain,
    idTemplate: world.idTemplate,
    workloads: world.workloads,
    now,
  })
}

const keyOf = ({ apiVersion, kind, metadata }: Resource): string =>
  [apiVersion.split('/').slice(0, -1).join('/'), kind, metadata.namespace ?? '', metadata.name].join(' ')
