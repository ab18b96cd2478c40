/** Puts the rules of host-wide interception into the kernel, takes them away again, and finds those that a crash left behind. */

import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { findTool, run } from '../namespace/tools.ts'
import { type Family, iptablesRemoval, iptablesRules } from './iptables.ts'
import { nftTable, routes } from './nft.ts'
import { isAlive, type Owner, ownersIn, ownerNow, type Plan, tableOf } from './plan.ts'

/** how: what a person may want to know of it. */
export type Installed = AsyncDisposable & { readonly how: 'nftables' | 'iptables'; readonly name: string; readonly isSelfCleaning: boolean }

/** With nft where it is there and works, else with iptables. Rejects with the words of the tool that failed last. */
export async function install(plan: Plan): Promise<Installed> {
  const owner = ownerNow()
  await addRoutes()
  const nft = findTool('nft')
  let says = 'neither nft nor iptables is installed'
  if (nft !== undefined) {
    const kept = await installOwned(nft, owner, plan)
    if (kept !== undefined) return { how: 'nftables', name: tableOf(owner), isSelfCleaning: true, [Symbol.asyncDispose]: kept }
    const plain = await run(nft, ['-f', '-'], `${nftTable(tableOf(owner), plan, false)}\n`)
    if (plain.code === 0)
      return { how: 'nftables', name: tableOf(owner), isSelfCleaning: false, [Symbol.asyncDispose]: () => removeAndRoutes(owner) }
    says = `nft: ${plain.says.trim()}`
  }
  if (plan.mode === 'tproxy') throw new Error(`${says}; --transparent needs nftables with TPROXY`)
  const tried = await installIptables(owner, plan)
  if (tried === undefined)
    return { how: 'iptables', name: tableOf(owner), isSelfCleaning: false, [Symbol.asyncDispose]: () => removeAndRoutes(owner) }
  await remove(owner)
  throw new Error(tried === '' ? says : tried)
}

/** A table of `flags owner` lives as long as the nft that made it, and that one as long as this process: even a kill leaves nothing behind. */
async function installOwned(nft: string, owner: Owner, plan: Plan): Promise<(() => Promise<void>) | undefined> {
  const keeper = spawn(nft, ['-i'], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  keeper.on('error', () => {})
  keeper.stdin!.on('error', () => {})
  keeper.stdin!.write(`${nftTable(tableOf(owner), plan, true)}\n`)
  for (let tries = 0; tries < 40; tries++) {
    await pause(25)
    const { code, says } = await run(nft, ['list', 'table', 'inet', tableOf(owner)])
    if (code === 0 && says.includes('flags owner'))
      return async () => {
        await ended(keeper)
        await removeRoutes()
      }
    if (keeper.exitCode !== null) break
    // What it does not take it has said by now.
    if (code !== 0 && tries >= 8) break
  }
  await ended(keeper)
  return undefined
}

async function ended(keeper: ChildProcess): Promise<void> {
  if (keeper.exitCode !== null || keeper.pid === undefined) return
  const gone = new Promise(done => keeper.once('exit', done))
  keeper.stdin?.end()
  keeper.kill('SIGTERM')
  await gone
}

const restores = { 4: ['iptables', 'iptables-legacy'], 6: ['ip6tables', 'ip6tables-legacy'] } as const

/** undefined: done; else what the tools said, '' where there is none. */
async function installIptables(owner: Owner, plan: Plan): Promise<string | undefined> {
  for (const variant of [0, 1] as const) {
    let says: string | undefined
    for (const family of (plan.ipv6 ? [4, 6] : [4]) as Family[]) {
      const tool = findTool(`${restores[family][variant]}-restore`)
      if (tool === undefined) says ??= variant === 0 ? '' : `${restores[family][variant]} is not installed`
      else {
        const { code, says: told } = await run(tool, ['--noflush', '--wait=5'], iptablesRules(owner, plan, family))
        if (code !== 0) says ??= `${restores[family][variant]}: ${told.trim()}`
      }
    }
    if (says === undefined) return undefined
    if (variant === 1) return says
    await remove(owner)
  }
  return ''
}

/** The rules of that owner, wherever they are. */
async function remove(owner: Owner): Promise<void> {
  const nft = findTool('nft')
  if (nft !== undefined) await run(nft, ['delete', 'table', 'inet', tableOf(owner)])
  for (const tool of [...restores[4], ...restores[6]]) {
    const [save, restore] = [findTool(`${tool}-save`), findTool(`${tool}-restore`)]
    if (save === undefined || restore === undefined) continue
    const removal = iptablesRemoval(owner, (await run(save, ['-t', 'nat'])).says)
    if (removal !== undefined) await run(restore, ['--noflush', '--wait=5'], removal)
  }
}

async function removeAndRoutes(owner: Owner): Promise<void> {
  await remove(owner)
  await removeRoutes()
}

/** Rules of processes that are no more, taken away. Returns their process ids. all: those of living ones too. */
export async function removeLeftovers(which: 'dead' | 'all' = 'dead'): Promise<number[]> {
  const owners = (await allOwners()).filter(owner => which === 'all' || !isAlive(owner))
  for (const owner of owners) await remove(owner)
  await removeRoutes()
  return owners.map(({ pid }) => pid)
}

export async function allOwners(): Promise<Owner[]> {
  const nft = findTool('nft')
  const listed = nft === undefined ? '' : (await run(nft, ['list', 'tables'])).says
  const saved = await Promise.all(
    [...restores[4], ...restores[6]].map(async tool => {
      const save = findTool(`${tool}-save`)
      return save === undefined ? '' : (await run(save, ['-t', 'nat'])).says
    }),
  )
  return ownersIn([listed, ...saved].join('\n'))
}

async function addRoutes(): Promise<void> {
  const ip = findTool('ip')
  if (ip !== undefined) await run(ip, ['-batch', '-'], routes('replace'))
}

/** Shared by all captures of this machine: the last one takes them away. */
async function removeRoutes(): Promise<void> {
  const ip = findTool('ip')
  if (ip !== undefined && (await allOwners()).length === 0) await run(ip, ['-force', '-batch', '-'], routes('del'))
}
