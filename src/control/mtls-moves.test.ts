import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { silent } from '#base/log'
import type { Inventory } from '#model/workload'
import { MtlsMoves } from './mtls-moves.ts'

const workload = (name: string) =>
  ({
    name,
    namespace: 'default',
    service: name,
    labels: {},
    identity: `spiffe://weft.local/ns/default/sa/${name}`,
    ports: [{ name: 'http', port: 80, protocol: 'http', bind: { host: '127.0.0.1', port: 20_001 } }],
    health: 'healthy',
  }) as const
const inventory: Inventory = { workloads: [workload('a'), workload('b')] }
const port = 'a.default:80'

/** As the compile loop has it: each step is compiled, and what is compiled may take another. */
function start(first: readonly string[] = []) {
  const clock = new TestClock(1_700_000_000_000)
  const settled = new Set<string>()
  let wanted = first
  const compile = (): void => {
    while (moves.see(wanted, inventory));
  }
  const moves = new MtlsMoves({ clock, log: silent, onStep: compile })
  moves.hears(proxy => settled.has(proxy ?? 'all'))
  compile()
  return {
    clock,
    settled,
    moves,
    want: (plaintext: readonly string[]) => {
      wanted = plaintext
      compile()
    },
    [Symbol.dispose]: () => moves.close(),
  }
}

test('a port first takes both, then callers are told, and when all have heard it a moment passes until it takes only what it is to take', () => {
  using plane = start()
  const { clock, settled, moves, want } = plane
  want([port])
  assert.deepEqual(moves.moving, { [port]: 'tls' })
  clock.advance(5_000)
  assert.deepEqual(moves.moving, { [port]: 'tls' }, 'the called proxy has not answered')
  settled.add('a.default')
  clock.advance(100)
  assert.deepEqual(moves.moving, { [port]: 'plaintext' })
  clock.advance(5_000)
  assert.deepEqual(moves.moving, { [port]: 'plaintext' }, 'a caller has not answered')
  settled.add('all')
  clock.advance(1_000)
  assert.deepEqual(moves.moving, { [port]: 'plaintext' }, 'what began before may still arrive')
  clock.advance(2_000)
  assert.deepEqual(moves.moving, {})
})

test('turned back half-way, callers go back before anything is refused', () => {
  using plane = start()
  const { clock, settled, moves, want } = plane
  want([port])
  settled.add('a.default')
  clock.advance(100)
  assert.deepEqual(moves.moving, { [port]: 'plaintext' })
  want([])
  assert.deepEqual(moves.moving, { [port]: 'tls' }, 'it takes both still')
  clock.advance(5_000)
  assert.deepEqual(moves.moving, { [port]: 'tls' })
  settled.add('all')
  clock.advance(5_000)
  assert.deepEqual(moves.moving, {})
})

test('a proxy that never answers keeps nobody from what was ordered', () => {
  using plane = start()
  const { clock, moves, want } = plane
  want([port])
  clock.advance(40_000)
  assert.deepEqual(moves.moving, { [port]: 'plaintext' })
  clock.advance(40_000)
  assert.deepEqual(moves.moving, {})
})

test('what held when the control plane started is not moved to, nor what a new workload begins with', () => {
  using plane = start([port])
  const { moves, want } = plane
  assert.deepEqual(moves.moving, {})
  want([port, 'new.default:80'])
  assert.deepEqual(moves.moving, {})
})
