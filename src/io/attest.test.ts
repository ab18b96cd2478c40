import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { suite, test } from 'node:test'
import { peerProcess, type PeerProcess } from './attest.ts'
import { temporaryFolder } from './files.ts'

const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find(path => existsSync(path))
const skip = process.platform !== 'linux' ? 'there is no SO_PEERCRED here' : python === undefined ? 'python3 is not installed' : false

/** Connects, says so, and waits. With "leave": a child keeps the connection, and the process that made it ends. */
const script = `
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
if 'leave' in sys.argv:
    if os.fork() > 0: os._exit(0)
if 'become' in sys.argv:
    s.set_inheritable(True)
    sys.stdin.readline()
    os.execv('/bin/sleep', ['sleep', '30'])
s.recv(1)
`

/** The other end of a connection of `command SOCKET more…`. */
async function connected(command: readonly string[], ...more: readonly string[]) {
  const place = await temporaryFolder('weft-attest-')
  const path = `${place.path}/s`
  writeFileSync(`${place.path}/connect.py`, script)
  const peers = Promise.withResolvers<PeerProcess | undefined>()
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    const peer = peerProcess(socket)
    socket.on('close', () => peer?.close())
    peers.resolve(peer)
  })
  server.listen({ path, readableAll: true, writableAll: true })
  await once(server, 'listening')
  const [file = '', ...args] = command
  const child: ChildProcess = spawn(file, [...args, `${place.path}/connect.py`, path, ...more], { stdio: ['pipe', 'ignore', 'ignore'] })
  const peer = await peers.promise
  return {
    child,
    peer: peer!,
    folder: place.path,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      // Whoever holds the connection ends with it.
      for (const socket of sockets) socket.destroy()
      server.close()
      await place[Symbol.asyncDispose]()
    },
  }
}

suite('the process at the other end of a socket', { skip }, () => {
  const program = realpathSync(python ?? '/')
  const sha256 = skip === false ? createHash('sha256').update(readFileSync(program)).digest('hex') : ''

  test('is told by its user, program, digest, parent and control group', async () => {
    await using at = await connected([python!])
    const { unknown, cgroup, ...facts } = await at.peer.facts(true)
    assert.deepEqual(unknown, [])
    assert.match(cgroup ?? '', /^\//)
    assert.deepEqual(facts, {
      pid: at.child.pid,
      uid: process.getuid!(),
      gid: process.getgid!(),
      path: program,
      sha256,
      parent: realpathSync(process.execPath),
    })
  })

  test('a link of a good name does not make its program another, nor does a good program behind a link', async () => {
    await using place = await temporaryFolder()
    symlinkSync(program, `${place.path}/bank`)
    await using at = await connected([`${place.path}/bank`])
    assert.equal((await at.peer.facts(false)).path, program)
  })

  test('a program whose file was replaced since has no path any more, and still its digest', async () => {
    await using place = await temporaryFolder()
    copyFileSync(program, `${place.path}/python`)
    await using at = await connected([`${place.path}/python`])
    assert.equal((await at.peer.facts(false)).path, `${place.path}/python`)
    writeFileSync(`${place.path}/new`, 'another program')
    renameSync(`${place.path}/new`, `${place.path}/python`)
    const facts = await at.peer.facts(true)
    assert.equal(facts.path, undefined)
    assert.equal(facts.sha256, sha256)
    assert.match(facts.unknown.join(), /was replaced or removed since the process started/)
  })

  test('a process that becomes another program is that', async () => {
    await using at = await connected([python!], 'become')
    assert.equal((await at.peer.facts(false)).path, program)
    at.child.stdin!.write('\n')
    const sleep = realpathSync('/bin/sleep')
    const end = Date.now() + 20_000
    while ((await at.peer.facts(false)).path !== sleep) assert.ok(Date.now() < end)
  })

  test('a process that ended is nobody, although another one holds its connection, and although another one got its number', async t => {
    await using at = await connected([python!], 'leave')
    const { pid } = at.peer.credentials
    await once(at.child, 'exit')
    await assert.rejects(at.peer.facts(true), /the process \d+ that connected has ended/)
    try {
      // The next process gets the next number.
      for (let tries = 0; tries < 20; tries++) {
        writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1))
        const heir = spawn('/bin/sleep', ['30'], { stdio: 'ignore' })
        try {
          if (heir.pid !== pid) continue
          await assert.rejects(at.peer.facts(true), /the process \d+ that connected has ended/)
          return
        } finally {
          heir.kill('SIGKILL')
        }
      }
      t.diagnostic('the number could not be given again')
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === undefined || thrown instanceof assert.AssertionError) throw thrown
      t.diagnostic(`a number cannot be given again here: ${(thrown as Error).message}`)
    }
  })

  test('a process with mounts of its own has no path: the same path may be another file there', async t => {
    try {
      execFileSync('unshare', ['-rm', 'true'], { stdio: 'ignore' })
    } catch {
      return t.skip('this machine does not let an ordinary user have mounts of his own')
    }
    await using at = await connected(['unshare', '-rm', python!])
    const facts = await at.peer.facts(true)
    assert.equal(facts.path, undefined)
    assert.equal(facts.uid, process.getuid!())
    assert.equal(facts.sha256, sha256)
    assert.match(facts.unknown.join(), /mounts of its own/)
  })
})
