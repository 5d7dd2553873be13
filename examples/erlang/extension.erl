%% An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.
-module(extension).

-export([main/0]).

main() ->
    {ok, _} = beamline_nats:start_link(os:getenv("NATS_URL", "nats://127.0.0.1:4222")),
    Prefix = list_to_binary(os:getenv("SUBJECT_PREFIX", "beamline.registry")),
    %% A queue group, so that each request goes to one replica; a cancellation goes to all of them.
    Requests = beamline_nats:subscribe(<<"beamline.ext.pre.normalize_text.v1">>, <<"normalize_text">>),
    Cancelled = beamline_nats:subscribe(<<Prefix/binary, ".cancelled.normalize_text">>, <<>>),
    ok = beamline_nats:flush(),
    ok = beamline_sigterm:send_to(self()),
    io:format("ready~n"),
    serve(Requests, Cancelled, #{}).

%% `Calls`: the processes in hand, each with the headers of its request.
serve(Requests, Cancelled, Calls) ->
    receive
        sigterm ->
            ok = beamline_nats:drain(Requests), %% No new calls; those that are here are served.
            serve(Requests, Cancelled, Calls);
        {nats, Requests, drained} ->
            [receive {'DOWN', _, process, Call, _} -> ok end || Call <- maps:keys(Calls)],
            beamline_nats:flush();
        {nats, Requests, #{reply_to := undefined}} ->
            serve(Requests, Cancelled, Calls); %% Nobody waits for an answer.
        {nats, Requests, Request = #{headers := Headers}} ->
            %% A process each: the next request must not wait for this one.
            {Call, _} = spawn_monitor(fun() -> answer(Request) end),
            serve(Requests, Cancelled, Calls#{Call => Headers});
        {'DOWN', _, process, Call, _} ->
            serve(Requests, Cancelled, maps:remove(Call, Calls));
        {nats, Cancelled, #{headers := Named}} ->
            %% A call, or one attempt of it: whose headers have all that is named.
            Id = proplists:get_value(<<"Beamline-Call-Id">>, Named),
            Over = [Call || {Call, Headers} <- maps:to_list(Calls),
                            Id =/= undefined, Named -- Headers =:= []],
            [exit(Call, kill) || Call <- Over],
            [io:format("cancelled ~s~n", [Id]) || _ <- Over],
            serve(Requests, Cancelled, Calls)
    end.

answer(#{payload := Body, headers := Headers, reply_to := ReplyTo}) ->
    Reply = fun(Head, Text) -> beamline_nats:publish(ReplyTo, <<>>, Head, Text) end,
    case {beamline_json:decode(Body), proplists:get_value(<<"Beamline-Accept">>, Headers)} of
        {{ok, #{<<"payload">> := #{<<"text">> := Text}}}, <<"stream">>} when is_binary(Text) ->
            [begin
                Chunk = beamline_json:encode(#{delta => Word}),
                Reply([{<<"Beamline-Stream">>, <<"chunk">>}], Chunk),
                timer:sleep(100) %% This one works hard.
             end || Word <- string:lexemes(string:lowercase(Text), " \t\n")],
            Reply([{<<"Beamline-Stream">>, <<"end">>}], <<>>);
        {{ok, #{<<"payload">> := #{<<"text">> := Text}}}, _} when is_binary(Text) ->
            Done = string:lowercase(string:trim(Text)),
            Reply([], beamline_json:encode(#{payload => #{text => Done}}));
        _ ->
            %% 4xx is the caller's fault: it is not retried, and the circuit does not move.
            Code = {<<"Nats-Service-Error-Code">>, <<"422">>},
            No = [Code, {<<"Nats-Service-Error">>, <<"no text">>}],
            Reply(No, beamline_json:encode(#{error => <<"payload.text is missing">>}))
    end.
