/** Which endpoints a proxy leaves out at this moment, where its own pages can be asked: those of a proxy on this machine. */

import type { ProxyStatus } from '#api/mesh-api'

/** `BACKEND ADDRESS`, as `leftOutKey` makes them. */
export type LeftOut = ReadonlySet<string>

export const leftOutKey = (backend: string, host: string, port: number): string => `${backend} ${host}:${port}`

const patienceMs = 1000

/** Undefined where nobody can say. On another machine the same address is another program, so the identity is compared. */
export async function leftOutOf({ admin, identity }: Pick<ProxyStatus, 'admin' | 'identity'>): Promise<LeftOut | undefined> {
  if (admin === undefined || !URL.canParse(admin) || new URL(admin).hostname !== '127.0.0.1') return undefined
  try {
    const answer = await fetch(`${admin}/status`, { signal: AbortSignal.timeout(patienceMs) })
    const told = (await answer.json()) as {
      readonly certificate?: { readonly identity?: string }
      readonly leftOut?: readonly { readonly backend: string; readonly endpoints: readonly string[] }[]
    }
    if (told.certificate?.identity !== identity || told.leftOut === undefined) return undefined
    return new Set(told.leftOut.flatMap(({ backend, endpoints }) => endpoints.map(each => `${backend} ${each}`)))
  } catch {
    return undefined
  }
}
