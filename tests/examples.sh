#!/bin/sh
# examples.sh - the examples find what they should; the last line is `N passed, N failed, N skipped`.
build=${BUILD:-build}
shared=${LINNET_SHARED:-../shared}
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
passed=0 failed=0 skipped=0

pass() { passed=$((passed + 1)); }
miss() { failed=$((failed + 1)); echo "FAILED: $*"; }

# says PATTERN COMMAND...: the command succeeds and a line of what it prints matches.
says() {
    pattern=$1
    shift
    if text=$("$@" 2>&1) && printf '%s\n' "$text" | grep -Eq -e "$pattern"; then
        pass
    else
        miss "no line like '$pattern' from $*"
        printf '%s\n' "$text" | tail -n 5
    fi
}

# ends CODE COMMAND...: the command ends with that code.
ends() {
    code=$1
    shift
    "$@" > "$at/text" 2>&1
    got=$?
    [ $got -eq "$code" ] && pass || { miss "code $got, not $code, from $*"; head -n 5 "$at/text"; }
}

for name in speech stream_vad denoise sentiment/sentiment generate; do
    ends 0 "$build/examples/$name" --help
    ends 2 "$build/examples/$name"
    ends 2 "$build/examples/$name" --unheard-of
done

feel="$build/examples/sentiment/sentiment examples/sentiment/sentiment.lnt"
says '^1000 sentences: 1000 right' $feel --eval examples/sentiment/heldout.tsv
says '^48 sentences: 47 right' $feel --eval examples/sentiment/written.tsv
says '^positive' $feel "The plot was hardly a masterpiece, but I loved it."
says '^negative' $feel "I loved the plot, but it was hardly a masterpiece."

dates="$build/examples/translate/translate"
says '^1000 texts: 1000 exact' $dates examples/translate --eval examples/translate/heldout.tsv
says '^1000 texts: 1000 exact' $dates --beams 1 examples/translate --eval examples/translate/heldout.tsv
says '^1984-06-21T15:30 ' $dates examples/translate \
    "the twenty-first of June, nineteen eighty-four, at half past three in the afternoon"
says '^1789-07-14 ' $dates examples/translate "Le QUATORZE juillet mil sept cent quatre-vingt-neuf"

# Sound: 16-bit WAV files whole, cut short, and with damaged heads.
"$build/examples/speech" --noise 5 --clean "$at/clean.wav" "$at/noisy.wav" > "$at/truth"
says '^speech' "$build/examples/speech" --voice "$at/clean.wav" "$at/again.wav"
cp "$at/clean.wav" "$at/fast.wav" # the same samples at 32 kHz: half as long
printf '\000\175' | dd of="$at/fast.wav" bs=1 seek=24 conv=notrunc 2> /dev/null
says '^speech +1\.50 s to +6\.85 s' "$build/examples/speech" --voice "$at/fast.wav" "$at/again.wav"
for size in 0 11 12 20 35 43; do
    head -c $size "$at/clean.wav" > "$at/cut.wav"
    ends 1 "$build/examples/speech" --voice "$at/cut.wav" "$at/again.wav"
done
for byte in 4 16 20 22 24 34 40; do
    for value in '\000' '\177' '\377'; do
        cp "$at/clean.wav" "$at/bad.wav"
        printf "$value$value" | dd of="$at/bad.wav" bs=1 seek=$byte conv=notrunc 2> /dev/null
        "$build/examples/speech" --voice "$at/bad.wav" "$at/again.wav" > /dev/null 2>&1
        [ $? -le 1 ] && pass || miss "a WAV file with $value at byte $byte"
    done
done

# The speech found begins and ends within 0.15 s of where it was put.
near() {
    grep '^speech' "$1" | paste "$at/truth" - | awk '
        function far(a, b) { return a - b > 0.15 || b - a > 0.15 }
        NF != 12 || far($2, $8) || far($5, $11) { bad = 1 }
        END { exit bad || NR != 2 }'
}
vad=$shared/models/silero-vad-16k-op15/model.onnx
if [ -f "$vad" ]; then
    for name in clean noisy; do
        "$build/examples/stream_vad" "$vad" "$at/$name.wav" > "$at/$name"
        near "$at/$name" && pass || { miss "speech in $name.wav"; cat "$at/truth" "$at/$name"; }
    done
    tail -c +45 "$at/clean.wav" | "$build/examples/stream_vad" "$vad" - > "$at/stream"
    near "$at/stream" && pass || { miss "speech in a stream"; cat "$at/stream"; }
else
    skipped=$((skipped + 1)) && echo "skipped: silero-vad is not at $vad"
fi
dtln=$shared/models/dtln-1/model.onnx
if [ -f "$dtln" ]; then
    says '^signal to noise 5\.0 dB before, 1[2-9]\.[0-9] dB after' \
        "$build/examples/denoise" --clean "$at/clean.wav" "$dtln" "$at/noisy.wav" "$at/quiet.wav"
else
    skipped=$((skipped + 1)) && echo "skipped: DTLN is not at $dtln"
fi
# Language models: the greedy tokens are those of llama2.c's own program; a seed repeats itself.
tell="$build/examples/generate"
if [ -d "$shared/models/stories260k-llama2c" ]; then
    story=$shared/models/stories260k-llama2c/model.onnx
    says '^1 461 461 401 401 401 461 378 455 473 456 435 299 362 409 283 264 283 452 288 13 431 431 431 $' \
        "$tell" --tokens 23 --temperature 0 "$story"
    "$tell" --tokens 40 --seed 5 "$story" > "$at/one" 2> /dev/null
    "$tell" --tokens 40 --seed 5 "$story" > "$at/two" 2> /dev/null
    "$tell" --tokens 40 --seed 6 "$story" > "$at/other" 2> /dev/null
    cmp -s "$at/one" "$at/two" && ! cmp -s "$at/one" "$at/other" && pass || miss "generate: seeds"
    says 'tokens/s' "$tell" --tokens 3 --tokenizer tests/text/gpt2.json --prompt Once "$story"
    ends 1 "$tell" --prompt text "$story"
    if python3 -c 'import numpy, onnx' 2> /dev/null; then # the same model with caches in the session
        python3 examples/python/llama2c_onnx.py "$shared/models/stories260k-llama2c/stories260K.bin" "$at/cached.onnx"
        says '^1 461 461 401 401 401 461 378 455 473 456 435 299 362 409 283 264 283 452 288 13 431 431 431 $' \
            "$tell" --tokens 23 --temperature 0 "$at/cached.onnx"
        says '^512 tokens' "$tell" --tokens 10000 "$at/cached.onnx"
    else
        skipped=$((skipped + 1)) && echo "skipped: no onnx for Python"
    fi
    says '^5 6 7 ' "$tell" --tokens 3 --ids 5,6,7 "$shared/models/tiny-gpt2-contrib/model.onnx"
else
    skipped=$((skipped + 1)) && echo "skipped: no language model at $shared"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
