/** A SPIFFE id, short to read and whole to copy. */

import { ActionIcon, CopyButton, Group, Text, Tooltip } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import type { ReactNode } from 'react'

export const Copy = ({ value, what }: { value: string; what: string }): ReactNode => (
  <CopyButton value={value} timeout={1_200}>
    {({ copied, copy }) => (
      <Tooltip label={copied ? 'Copied' : `Copy ${what}`}>
        <ActionIcon size="sm" variant="subtle" color={copied ? 'teal' : 'gray'} onClick={copy} aria-label={`Copy ${what}`}>
          {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
        </ActionIcon>
      </Tooltip>
    )}
  </CopyButton>
)

export const Identity = ({ label, id }: { label: string; id: string | undefined }): ReactNode => (
  <Group gap={6} wrap="nowrap" justify="space-between" py={4}>
    <div style={{ minWidth: 0 }}>
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Text className="mono" size="xs" style={{ overflowWrap: 'anywhere' }} data-testid="identity">
        {id ?? 'none proven'}
      </Text>
    </div>
    {id && <Copy value={id} what="identity" />}
  </Group>
)
