/** Where a cgroup of version 2 lies on this machine, and how the packet filters name it. */

import { existsSync, readFileSync } from 'node:fs'

/** path: as iptables has it, from the root of the hierarchy. nft: as nft has it, from /sys/fs/cgroup. level: how many folders deep (1: at the top). */
export type Cgroup = { readonly path: string; readonly nft: string; readonly level: number }

const usual = '/sys/fs/cgroup'

/** text: as the operator has it, with or without the folder where it is mounted. Throws a sentence when there is no such cgroup. */
export function findCgroup(
  text: string,
  mounts = readFileSync('/proc/self/mounts', 'utf8'),
  exists: (path: string) => boolean = existsSync,
): Cgroup {
  const root = / (\/\S*) cgroup2 /.exec(mounts)?.[1]
  if (root === undefined) throw new Error('this machine has no cgroups of version 2: choose programs by --uid instead of --cgroup')
  const path = [root, usual]
    .reduce((left, folder) => (left.startsWith(`${folder}/`) ? left.slice(folder.length) : left), text)
    .replace(/^\/+|\/+$/g, '')
  if (path === '' || !exists(`${root}/${path}`))
    throw new Error(
      `there is no cgroup ${text} below ${root}: \`systemctl show -p ControlGroup UNIT\` tells that of a service, once it runs`,
    )
  const below = root.startsWith(`${usual}/`) ? `${root.slice(usual.length + 1)}/` : ''
  return { path, nft: `${below}${path}`, level: path.split('/').length }
}
