import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { consoleLog, type LogOptions } from './log.ts'

async function written(options: Omit<LogOptions, 'stream'>, write: (log: Awaited<ReturnType<typeof consoleLog>>) => void): Promise<string> {
  const stream = new PassThrough()
  write(await consoleLog({ ...options, stream }))
  return String(stream.read() ?? '')
}

test('a pretty line has time, level, message and fields; fields with spaces are quoted', async () => {
  const line = await written({ format: 'pretty' }, log =>
    log.with({ proxy: 'orders-1' }).warn('the stream broke', { reason: 'too slow', tries: 3, nothing: undefined }),
  )
  assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} WARN {2}the stream broke proxy=orders-1 reason="too slow" tries=3\n$/)
})

test('an error is shown with its stack below the line', async () => {
  const line = await written({ format: 'pretty' }, log => log.error('a bug', { error: new Error('boom') }))
  assert.match(line, /ERROR a bug\n {4}Error: boom\n {8}at /)
})

test('text from a peer cannot forge a line', async () => {
  const line = await written({ format: 'pretty' }, log => log.info('hello\nERROR forged', { name: 'a\nb\u001b[2J' }))
  assert.equal(line.split('\n').length, 2)
  assert.ok(!line.includes('\u001b'))
})

test('levels below the chosen one are not written', async () => {
  const text = await written({ format: 'pretty', level: 'warn' }, log => {
    log.info('no')
    log.error('yes')
  })
  assert.doesNotMatch(text, /no/)
  assert.match(text, /yes/)
})

test('a json line is one object with time, level, message and fields; errors keep their stack', async () => {
  const text = await written({ format: 'json', level: 'debug' }, log =>
    log.with({ proxy: 'p' }).debug('looked', { tries: 2, error: new Error('boom') }),
  )
  const line = JSON.parse(text)
  assert.deepEqual([line.level, line.message, line.proxy, line.tries, line.error.message], ['debug', 'looked', 'p', 2, 'boom'])
  assert.match(line.error.stack, /log\.test/)
  assert.ok(!Number.isNaN(Date.parse(line.time)))
})

test('a level that does not exist is refused with those that do', async () => {
  await assert.rejects(consoleLog({ level: 'loud' as 'info' }), /"loud" is no log level; use debug, info, warn, error/)
})
