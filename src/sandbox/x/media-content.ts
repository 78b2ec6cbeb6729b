// What a file is, by its content. X recognises the types of its OpenAPI document.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

export type MediaContent = {
  /** Null for a type that X does not know. */
  mediaType: string | null
  width: number | null
  height: number | null
  /** The number of pictures of a GIF; 1 for other images. */
  frames: number
  /** Null for images, and for a video whose duration is not in its first boxes. */
  durationSeconds: number | null
}

type File = { size: number; read(offset: number, length: number): Buffer }

/** Reads the content of a file. One that is cut off within its header is of no type that X knows. */
export function inspectMedia(path: string): MediaContent {
  const descriptor = openSync(path, 'r')
  try {
    const { size } = fstatSync(descriptor)
    return inspect({
      size,
      read: (offset, length) => {
        const buffer = Buffer.alloc(Math.max(0, Math.min(length, size - offset)))
        return buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, offset))
      },
    })
  } catch (error) {
    // A Buffer throws it for a number beyond its end.
    if (error instanceof RangeError) return image(null, null, null)
    throw error
  } finally {
    closeSync(descriptor)
  }
}

function inspect(file: File): MediaContent {
  const head = file.read(0, 64)
  const text = head.toString('latin1')
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return image('image/png', head.readUInt32BE(16), head.readUInt32BE(20))
  if (/^GIF8[79]a/.test(text)) {
    const gif = image('image/gif', head.readUInt16LE(6), head.readUInt16LE(8))
    return { ...gif, frames: countGifFrames(file.read(0, file.size)) }
  }
  if (text.startsWith('\xff\xd8\xff')) return jpeg(file.read(0, 1_000_000))
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return webp(head)
  if (text.startsWith('BM')) return image('image/bmp', head.readInt32LE(18), Math.abs(head.readInt32LE(22)))
  if (text.startsWith('II*\0') || text.startsWith('MM\0*')) return image('image/tiff', null, null)
  if (text.slice(4, 8) === 'ftyp') return mp4(file, text.slice(8, 10) === 'qt' ? 'video/quicktime' : 'video/mp4')
  if (text.startsWith('\x1aE\xdf\xa3')) return video('video/webm')
  if (head[0] === 0x47 && file.read(188, 1)[0] === 0x47) return video('video/mp2t')
  if (/^\s*WEBVTT/.test(text)) return image('text/vtt', null, null)
  if (/^\d+\r?\n\d\d:\d\d:\d\d,\d{3} --> /.test(text)) return image('text/srt', null, null)
  return image(null, null, null)
}

function image(mediaType: string | null, width: number | null, height: number | null): MediaContent {
  return { mediaType, width, height, frames: 1, durationSeconds: null }
}

function video(mediaType: string): MediaContent {
  return { ...image(mediaType, null, null) }
}

// The segments before the start of the scan (ITU T.81, annex B); SOF0 to SOF15 have the dimensions.
function jpeg(data: Buffer): MediaContent {
  let at = 2
  while (at + 9 < data.length && data[at] === 0xff) {
    const marker = data.readUInt8(at + 1)
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
    if (isFrame) return image('image/jpeg', data.readUInt16BE(at + 7), data.readUInt16BE(at + 5))
    at += 2 + data.readUInt16BE(at + 2)
  }
  return image('image/jpeg', null, null)
}

// RFC 9649, sections 2.5 to 2.7.
function webp(head: Buffer): MediaContent {
  const kind = head.toString('latin1', 12, 16)
  if (kind === 'VP8X') return image('image/webp', head.readUIntLE(24, 3) + 1, head.readUIntLE(27, 3) + 1)
  if (kind === 'VP8 ') return image('image/webp', head.readUInt16LE(26) & 0x3fff, head.readUInt16LE(28) & 0x3fff)
  const bits = head.readUInt32LE(21)
  return image('image/webp', (bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1)
}

// GIF89a, sections 20 to 27: blocks after the global colour table.
function countGifFrames(data: Buffer): number {
  const tableBytes = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1))
  let at = 13 + tableBytes(data[10] ?? 0)
  let frames = 0
  const skipSubBlocks = () => {
    while (at < data.length && data[at] !== 0) at += 1 + (data[at] ?? 0)
    at += 1
  }
  while (at < data.length) {
    if (data[at] === 0x21) {
      at += 2
      skipSubBlocks()
    } else if (data[at] === 0x2c) {
      frames += 1
      at += 11 + tableBytes(data[at + 9] ?? 0)
      skipSubBlocks()
    } else break
  }
  return frames
}

// ISO/IEC 14496-12: the duration is in moov/mvhd, the dimensions in moov/trak/tkhd.
function mp4(file: File, mediaType: string): MediaContent {
  const moov = findBox(file, 'moov', 0, file.size)
  if (moov === null) return video(mediaType)
  const mvhd = findBox(file, 'mvhd', moov.start, moov.end)
  const trak = findBox(file, 'trak', moov.start, moov.end)
  const tkhd = trak === null ? null : findBox(file, 'tkhd', trak.start, trak.end)
  return {
    ...video(mediaType),
    durationSeconds: mvhd === null ? null : readDuration(file.read(mvhd.start, 32)),
    width: tkhd === null ? null : file.read(tkhd.end - 8, 4).readUInt16BE(0),
    height: tkhd === null ? null : file.read(tkhd.end - 4, 4).readUInt16BE(0),
  }
}

function readDuration(header: Buffer): number {
  const isLong = header[0] === 1
  const timescale = header.readUInt32BE(isLong ? 20 : 12)
  const duration = isLong ? Number(header.readBigUInt64BE(24)) : header.readUInt32BE(16)
  return timescale === 0 ? 0 : duration / timescale
}

function findBox(file: File, type: string, from: number, to: number): { start: number; end: number } | null {
  let at = from
  while (at + 8 <= to) {
    const header = file.read(at, 16)
    const short = header.readUInt32BE(0)
    const headerBytes = short === 1 ? 16 : 8
    const bytes = short === 1 ? Number(header.readBigUInt64BE(8)) : short === 0 ? to - at : short
    if (bytes < headerBytes) return null
    if (header.toString('latin1', 4, 8) === type) return { start: at + headerBytes, end: Math.min(at + bytes, to) }
    at += bytes
  }
  return null
}
