#!/usr/bin/env escript
%% What is read of messages that no client should send.
-mode(compile).

main([]) ->
    Here = filename:dirname(escript:script_name()),
    {ok, Module, Beam} = compile:file(filename:join(Here, "../nats/beamline_nats_wire.erl"), [binary, report]),
    {module, Module} = code:load_binary(Module, "beamline_nats_wire", Beam),
    [
        {Head, {Status, Headers}} = {Head, read(Head)}
     || {Head, Status, Headers} <- [
            {<<"NATS/1.0\r\nA: 1\r\nB:2 \r\nC:\r\n\r\n">>, undefined,
                [{<<"A">>, <<"1">>}, {<<"B">>, <<"2">>}, {<<"C">>, <<>>}]},
            {<<"NATS/1.0\r\nA: b:c\r\nCaf: \xe9\t\r\n\r\n">>, undefined,
                [{<<"A">>, <<"b:c">>}, {<<"Caf">>, <<16#e9>>}]},
            {<<"NATS/1.0\r\nA: a\rb\nc\r\n\r\n">>, undefined, [{<<"A">>, <<"a\rb\nc">>}]},
            {<<"NATS/1.0\r\nno colon\r\n: no name\r\nA: 1\r\n\r\n">>, undefined, [{<<"A">>, <<"1">>}]},
            {<<"NATS/1.0 503\r\n\r\n">>, 503, []},
            {<<"NATS/1.0 100 Idle\r\nA: 1\r\n\r\n">>, 100, [{<<"A">>, <<"1">>}]},
            {<<"NATS/1.0 \r\n\r\n">>, undefined, []},
            {<<"NATS/1.0 5x3\r\n\r\n">>, undefined, []},
            {<<"HTTP/1.1\r\n\r\n">>, undefined, []},
            {<<255, 254, 0, "\r\n\r\n">>, undefined, []}
        ]
    ],
    io:format("read~n").

read(Head) ->
    Size = byte_size(Head),
    Line = io_lib:format("HMSG a.b 7 r ~b ~b\r\n", [Size, Size + 2]),
    Bytes = iolist_to_binary([Line, Head, "{}\r\nPING\r\n"]),
    {{message, 7, Message}, <<"PING\r\n">>} = beamline_nats_wire:parse(Bytes),
    #{reply_to := <<"r">>, payload := <<"{}">>, status := Status, headers := Headers} = Message,
    {Status, Headers}.
