/** When each control plane was last seen, and where its proxies said they are: what is known of a mesh whose control plane is down. */

import type { ControlStatus } from '#api/mesh-api'

export type Seen = { readonly at: string; readonly proxies: readonly { readonly id: string; readonly admin: string }[] }

const fileIn = (configFolder: string): string => `${configFolder}/seen.json`

/** By URL. A file that cannot be used is as none: nothing depends on it. */
async function readSeen(configFolder: string): Promise<Record<string, Seen>> {
  try {
    const { readTextIfAny } = await import('#io/files')
    return (JSON.parse((await readTextIfAny(fileIn(configFolder))) ?? '{}') ?? {}) as Record<string, Seen>
  } catch {
    return {}
  }
}

export const lastSeen = async (configFolder: string, url: string): Promise<Seen | undefined> => (await readSeen(configFolder))[url]

/** Keeps twenty control planes. A folder that cannot be written is no failure of the command. */
export async function keepSeen(configFolder: string, url: string, { proxies }: ControlStatus, now: number): Promise<void> {
  const seen: Seen = {
    at: new Date(now).toISOString(),
    proxies: proxies.flatMap(({ id, admin }) => (admin === undefined ? [] : [{ id, admin }])),
  }
  const others = Object.entries(await readSeen(configFolder))
    .filter(([other]) => other !== url)
    .sort(([, a], [, b]) => (a.at < b.at ? 1 : -1))
    .slice(0, 19)
  try {
    const { makeFolder, writeAtomic } = await import('#io/files')
    await makeFolder(configFolder)
    await writeAtomic(fileIn(configFolder), `${JSON.stringify({ [url]: seen, ...Object.fromEntries(others) }, undefined, 2)}\n`, {
      mode: 0o600,
    })
  } catch {
    // read-only home: then nothing is known the next time
  }
}
