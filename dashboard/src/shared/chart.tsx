/** Curves over time, drawn by uPlot; charts of one group share their cursor. */

import 'uplot/dist/uPlot.min.css'
import { useComputedColorScheme } from '@mantine/core'
import { useElementSize, useMergedRef } from '@mantine/hooks'
import type { ReactNode } from 'react'
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import css from './chart.module.css'
import { clockTime } from './format.ts'

/** colour: a CSS variable such as `--accent`. */
export type Curve = {
  readonly name: string
  readonly colour: string
  readonly values: readonly (number | null)[]
  readonly isFilled?: boolean
}
type Props = {
  readonly title: string
  readonly group: string
  /** Milliseconds since the epoch, one per value. */
  readonly at: readonly number[]
  readonly curves: readonly Curve[]
  readonly show: (value: number) => string
  readonly range?: (least: number, most: number) => readonly [number, number]
}

export function Chart({ title, group, at, curves, show, range }: Props): ReactNode {
  const { ref, width } = useElementSize<HTMLDivElement>()
  const canvas = useRef<HTMLDivElement>(null)
  const measured = useMergedRef(ref, canvas)
  const scheme = useComputedColorScheme('light')
  const plot = useRef<uPlot | undefined>(undefined)
  const legend = useRef<HTMLDivElement>(null)
  const names = curves.map(curve => curve.name).join()
  const values: uPlot.AlignedData = [at.map(ms => ms / 1000), ...curves.map(curve => curve.values as (number | null)[])]

  useEffect(() => {
    const host = canvas.current
    if (!host || width === 0) return
    const colour = (name: string): string => getComputedStyle(host).getPropertyValue(name).trim()
    const axis = {
      stroke: colour('--ink-soft'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    }
    const drawn = new uPlot(
      {
        width,
        height: 150,
        cursor: { sync: { key: group }, y: false, points: { size: 6 } },
        legend: { show: false },
        padding: [8, 4, 0, 0],
        scales: { y: { range: (_, least, most) => [...(range ?? fromZero)(least, most)] as [number, number] } },
        axes: [
          { ...axis, size: 26, space: 90, values: (_, ticks) => ticks.map(seconds => clockTime(seconds * 1000).slice(0, 5)) },
          { ...axis, size: 58, space: 34, values: (_, ticks) => ticks.map(show) },
        ],
        series: [
          {},
          ...curves.map(curve => ({
            label: curve.name,
            stroke: colour(curve.colour),
            width: 1.8,
            points: { show: false },
            spanGaps: false,
            ...(curve.isFilled ? { fill: `color-mix(in srgb, ${colour(curve.colour)} 13%, transparent)` } : {}),
          })),
        ],
        hooks: { setCursor: [self => tell(self, legend.current, show)], setData: [self => tell(self, legend.current, show)] },
      },
      values,
      host,
    )
    plot.current = drawn
    tell(drawn, legend.current, show)
    return () => drawn.destroy()
    // New data is handed over below; only what shapes the chart makes a new one.
  }, [width, scheme, names, group])

  useEffect(() => plot.current?.setData(values), [at, curves])

  return (
    <figure className={css['chart']} data-testid="chart">
      <figcaption>
        <b>{title}</b>
        <div ref={legend} className={css['legend']}>
          <span data-time />
          {curves.map(curve => (
            <span key={curve.name}>
              {curves.length > 1 && <i style={{ background: `var(${curve.colour})` }} />}
              {curves.length > 1 && `${curve.name} `}
              <b data-value />
            </span>
          ))}
        </div>
      </figcaption>
      <div ref={measured} className={css['canvas']} role="img" aria-label={`${title} over the last ten minutes`} />
    </figure>
  )
}

const fromZero = (_: number, most: number): readonly [number, number] => [0, Number.isFinite(most) && most > 0 ? most * 1.12 : 1]

/** Writes the values under the cursor, or the newest, beside the title. */
function tell(plot: uPlot, legend: HTMLDivElement | null, show: (value: number) => string): void {
  if (!legend) return
  const at = plot.cursor.idx ?? plot.data[0].length - 1
  const time = plot.data[0][at]
  legend.querySelector('[data-time]')!.textContent = plot.cursor.idx != null && time !== undefined ? clockTime(time * 1000) : ''
  for (const [index, slot] of [...legend.querySelectorAll('[data-value]')].entries()) {
    const value = plot.data[index + 1]?.[at]
    slot.textContent = value == null ? '–' : show(value)
  }
}
