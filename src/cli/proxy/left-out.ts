/** Which endpoints a proxy leaves out at this moment: by its own pages where it is on this machine, else as it last told the control plane. */

import type { Client } from '#api/client'
import type { ProxyStatus } from '#api/mesh-api'

/** By `leftOutKey`. until: ms since the epoch. */
export type LeftOut = ReadonlyMap<string, { readonly cause: string; readonly until: number }>

/** service: `NAME.NAMESPACE`. address: HOST:PORT. */
export const leftOutKey = (service: string, address: string): string => `${service} ${address}`

const patienceMs = 1000

export async function leftOutOf(client: Pick<Client, 'resilience'>, proxy: ProxyStatus): Promise<LeftOut> {
  const own = await fromItself(proxy)
  if (own !== undefined) return own
  const { leftOut } = await client.resilience()
  const found = leftOut.filter(each => each.proxy === proxy.id)
  return new Map(found.map(({ service, address, cause, until }) => [leftOutKey(service, address), { cause, until: Date.parse(until) }]))
}

/** Undefined where it cannot be asked. On another machine the same address is another program, so the identity is compared. */
async function fromItself({ admin, identity }: ProxyStatus): Promise<LeftOut | undefined> {
  if (admin === undefined || !URL.canParse(admin) || new URL(admin).hostname !== '127.0.0.1') return undefined
  try {
    const answer = await fetch(`${admin}/status`, { signal: AbortSignal.timeout(patienceMs) })
    const told = (await answer.json()) as {
      readonly certificate?: { readonly identity?: string }
      readonly leftOut?: readonly {
        readonly service: string
        readonly absent: readonly { readonly address: string; readonly cause: string; readonly until: number }[]
      }[]
    }
    if (told.certificate?.identity !== identity || told.leftOut === undefined) return undefined
    return new Map(
      told.leftOut.flatMap(({ service, absent }) =>
        absent.map(({ address, cause, until }) => [leftOutKey(service, address), { cause, until }] as const),
      ),
    )
  } catch {
    return undefined
  }
}
