/** Worker processes that accept on sockets which this process owns: started, replaced when they crash, and exchanged for new ones without a lost connection. */

import { type ChildProcess, spawn } from 'node:child_process'
import { backoffMs } from '#base/backoff'
import type { Log } from '#base/log'
import { type Handle, handleOf, openHandle } from './fleet/handles.ts'
import { type FromWorker, keyOf, type ToWorker, type Wanted } from './fleet/messages.ts'
import type { Listening } from './net.ts'

export type FleetOptions = {
  /** Program and arguments of a worker, which uses `joinFleet`. */
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly count: number
  /** What a worker is told first; asked for each, so that a later one may be told something else. */
  readonly order: () => unknown
  /** A worker said something. worker: a number of its own, never used again. */
  readonly onTold: (worker: number, about: unknown) => void
  /** A worker has ended, as it was told to or not. */
  readonly onGone: (worker: number, isCrash: boolean) => void
  readonly log: Log
}

/** starting ──ready──▶ serving ──leave──▶ leaving ──▶ gone; a worker that is gone without `leave` has crashed */
export type WorkerState = { readonly worker: number; readonly pid: number; readonly state: 'starting' | 'serving' | 'leaving' }

type Member = {
  readonly worker: number
  readonly child: ChildProcess
  state: WorkerState['state'] | 'gone'
  /** Settles when it serves, or cannot. */
  readonly ready: PromiseWithResolvers<void>
  readonly gone: Promise<void>
}

type Owned = { handle: Handle; readonly port: number; isAcceptedHere: boolean; readonly users: Set<number> }

const crashBackoff = { baseMs: 100, maxMs: 10_000 }
/** Having served for so long, a crash is not the continuation of the one before. */
const calmMs = 30_000
/** Beyond its deadline a worker that does not end is killed. */
const graceMs = 3000
/** How long a worker may take until it serves. */
const startMs = 30_000

export class Fleet implements AsyncDisposable {
  readonly #options: FleetOptions
  readonly #members = new Map<number, Member>()
  readonly #owned = new Map<string, Owned>()
  readonly #cancels = new Set<() => void>()
  #count = 0
  #crashes = 0
  #isLeaving = false
  #restarting: Promise<void> | undefined

  constructor(options: FleetOptions) {
    this.#options = options
  }

  get workers(): readonly WorkerState[] {
    return [...this.#members.values()].flatMap(({ worker, child, state }) =>
      state === 'gone' ? [] : [{ worker, pid: child.pid ?? 0, state }],
    )
  }

  /** A socket on which this process accepts: workers that ask for this listener get it. Close it when they serve; the fleet keeps a copy by then. */
  adopt(wanted: Wanted, listening: Listening): void {
    this.#owned.set(keyOf(wanted), { handle: handleOf(listening), port: listening.port, isAcceptedHere: true, users: new Set() })
  }

  /** Resolves when all workers serve. Rejects with what the first said that cannot; then none is left. */
  async start(): Promise<void> {
    await this.#generation()
  }

  /** Exchanges all workers: new ones serve before the old ones leave, which have deadlineMs for what is open. Rejects, and changes nothing, when the new ones cannot serve. */
  restart(deadlineMs: number): Promise<void> {
    this.#restarting ??= this.#exchange(deadlineMs).finally(() => (this.#restarting = undefined))
    return this.#restarting
  }

  async #exchange(deadlineMs: number): Promise<void> {
    const old = [...this.#members.values()]
    await this.#generation()
    for (const member of old) this.#leave(member, 'retire', deadlineMs)
  }

  /** To every worker that serves or begins. */
  tell(about: unknown): void {
    for (const { child, state } of this.#members.values()) if (state !== 'gone') say(child, { type: 'told', about })
  }

  /** To one. False when it is gone. */
  tellOne(worker: number, about: unknown): boolean {
    const member = this.#members.get(worker)
    return member !== undefined && say(member.child, { type: 'told', about })
  }

  /** Ends all workers in order. Resolves when they are gone. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isLeaving = true
    for (const cancel of this.#cancels) cancel()
    const members = [...this.#members.values()]
    for (const member of members) this.#leave(member, 'drain', deadlineMs)
    await Promise.all(members.map(({ gone }) => gone))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isLeaving = true
    for (const cancel of this.#cancels) cancel()
    const members = [...this.#members.values()]
    for (const { child } of members) child.kill('SIGKILL')
    await Promise.all(members.map(({ gone }) => gone))
    for (const { handle, isAcceptedHere } of this.#owned.values()) if (!isAcceptedHere) handle.close()
    this.#owned.clear()
  }

  async #generation(): Promise<void> {
    const fresh = Array.from({ length: this.#options.count }, () => this.#spawn())
    const outcomes = await Promise.allSettled(fresh.map(({ ready }) => ready.promise))
    const failed = outcomes.find(outcome => outcome.status === 'rejected')
    if (failed === undefined) return
    for (const member of fresh) {
      member.state = 'leaving'
      member.child.kill('SIGKILL')
    }
    await Promise.all(fresh.map(({ gone }) => gone))
    throw failed.reason
  }

  #spawn(): Member {
    const [file = '', ...args] = this.#options.command
    const worker = (this.#count += 1)
    // A group of its own: a Ctrl-C at the terminal is for the owner, which ends its workers in order.
    const child = spawn(file, args, {
      env: { ...this.#options.env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
      detached: true,
    })
    const ready = Promise.withResolvers<void>()
    ready.promise.catch(() => {})
    const timer = setTimeout(() => ready.reject(new Error(`worker ${worker} did not serve within ${startMs / 1000} s`)), startMs)
    const forget = () => clearTimeout(timer)
    ready.promise.then(forget, forget)
    const gone = Promise.withResolvers<void>()
    const member: Member = { worker, child, state: 'starting', ready, gone: gone.promise }
    this.#members.set(worker, member)
    child.on('message', (message, handle) => this.#heard(member, message as FromWorker, handle as unknown as Handle | undefined))
    const over = (how: string) => {
      if (member.state === 'gone') return
      ready.reject(new Error(`worker ${worker} ended before it served: ${how}`))
      this.#gone(member, how)
      gone.resolve()
    }
    child.once('error', error => over(error.message))
    child.once('exit', (code, signal) => over(signal ?? `exit code ${code}`))
    return member
  }

  #heard(member: Member, message: FromWorker, handle: Handle | undefined): void {
    const { worker, child, ready } = member
    switch (message.type) {
      case 'here':
        return void say(child, { type: 'begin', order: this.#options.order() })
      case 'open':
        return this.#open(member, message.wanted)
      case 'copy':
        return this.#keep(message.wanted, handle)
      case 'closed':
        return this.#release(keyOf(message.wanted), worker)
      case 'ready':
        if (member.state === 'starting') member.state = 'serving'
        return ready.resolve()
      case 'failed':
        return ready.reject(new Error(message.says))
      case 'told':
        return this.#options.onTold(worker, message.about)
    }
  }

  #open({ worker, child }: Member, wanted: Wanted): void {
    const key = keyOf(wanted)
    try {
      let owned = this.#owned.get(key)
      if (owned === undefined) {
        owned = { ...openHandle(wanted.host, wanted.port), isAcceptedHere: false, users: new Set() }
        this.#owned.set(key, owned)
      }
      owned.users.add(worker)
      say(child, { type: 'opened', wanted, port: owned.port, wantsCopy: owned.isAcceptedHere }, owned.handle)
    } catch (thrown) {
      say(child, { type: 'unopened', wanted, says: thrown instanceof Error ? thrown.message : String(thrown) })
    }
  }

  #keep(wanted: Wanted, copy: Handle | undefined): void {
    const owned = this.#owned.get(keyOf(wanted))
    if (copy === undefined) return
    if (owned?.isAcceptedHere !== true) return copy.close()
    owned.handle = copy
    owned.isAcceptedHere = false
  }

  /** A listener that no worker wants any more is closed, so that callers are refused instead of waiting for ever. */
  #release(key: string, worker: number): void {
    const owned = this.#owned.get(key)
    if (owned === undefined || !owned.users.delete(worker) || owned.users.size > 0) return
    this.#owned.delete(key)
    if (!owned.isAcceptedHere) owned.handle.close()
  }

  #gone(member: Member, how: string): void {
    const { worker, state } = member
    const isCrash = state === 'serving'
    member.state = 'gone'
    this.#members.delete(worker)
    for (const [key, { users }] of this.#owned) {
      if (state === 'leaving') this.#release(key, worker)
      else users.delete(worker) // its successor asks for the same
    }
    this.#options.onGone(worker, isCrash)
    if (isCrash && !this.#isLeaving) this.#replace(`worker ${worker} ended (${how})`)
  }

  #replace(why: string): void {
    const { log } = this.#options
    const waitMs = backoffMs(crashBackoff, this.#crashes++, Math.random())
    log.error(`${why}; another one is started`, { inMs: waitMs })
    const cancel = this.#after(waitMs, () => {
      const member = this.#spawn()
      member.ready.promise.then(
        () => this.#after(calmMs, () => (this.#crashes = 0)),
        (failure: unknown) => {
          member.state = 'leaving'
          member.child.kill('SIGKILL')
          if (!this.#isLeaving) this.#replace(failure instanceof Error ? failure.message : String(failure))
        },
      )
    })
    this.#cancels.add(cancel)
  }

  #after(ms: number, run: () => void): () => void {
    const timer = setTimeout(() => {
      this.#cancels.delete(cancel)
      run()
    }, ms).unref()
    const cancel = () => clearTimeout(timer)
    this.#cancels.add(cancel)
    return cancel
  }

  #leave(member: Member, how: 'retire' | 'drain', deadlineMs: number): void {
    if (member.state === 'gone') return
    member.state = 'leaving'
    say(member.child, { type: 'leave', how, deadlineMs })
    const timer = setTimeout(() => member.child.kill('SIGKILL'), deadlineMs + graceMs)
    void member.gone.then(() => clearTimeout(timer))
  }
}

/** False when nobody hears it: its end is told of by its exit. */
function say(child: ChildProcess, message: ToWorker, handle?: Handle): boolean {
  if (!child.connected) return false
  child.send(message, handle as never, { keepOpen: true }, () => {})
  return true
}
